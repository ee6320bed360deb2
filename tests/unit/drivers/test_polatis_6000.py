import re
from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from hypothesis import given
from hypothesis import strategies as st
from ophyd.utils import LimitError

from drivers.optical_switch.matrix_connections import Size, connections_of, routes, with_route
from drivers.optical_switch.polatis_6000 import Polatis6000
from drivers.optical_switch.polatis_6000_codec import Connections, matrix_size, port_lists
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LabError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)

WAIT_S = 5.0
PAIRS = re.compile(r":OXC:SWIT:CONN:(ADD|SUB) \(@([\d,]+)\),\(@([\d,]+)\)")


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    class Matrix(fake_scpi):
        """Four by four ports; refuses to connect a port that is taken."""

        def __init__(self) -> None:
            super().__init__(
                {"*IDN?": "Polatis,N-VST-4x4-LU1-DMHNV,002414,6.5.2.18", ":OXC:SWIT:SIZE": "4,4"},
                no_error='0, "No error"',
            )
            self.table = {1: 5, 2: 6}
            self.deaf = False

        def _obey(self, unit: str) -> str | None:
            if unit == ":OXC:SWIT:CONN:STAT?" and unit not in self.refuse:
                left, right = (",".join(map(str, ports)) for ports in (self.table, self.table.values()))
                return f"(@{left}),(@{right})"
            match = PAIRS.fullmatch(unit)
            if match is None:
                return super()._obey(unit)
            left, right = ([int(port) for port in part.split(",")] for part in match.groups()[1:])
            for ingress, egress in zip(left, right, strict=True):
                self._change(match[1], ingress, egress)
            self._busy = self.busy_after_command
            return None

        def _change(self, word: str, ingress: int, egress: int) -> None:
            if word == "SUB":
                assert self.table.pop(ingress) == egress
            elif ingress in self.table or egress in self.table.values():
                self.errors.append('-221, "Settings conflict"')
            elif not self.deaf:
                self.table[ingress] = egress

    return Matrix()


@pytest.fixture
def switch(connected: Callable[..., Any], fake: Any) -> Any:
    return connected(Polatis6000, fake)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    switch, transport = scripted(Polatis6000, transcript("polatis_6000"))
    switch.route(1, 20).wait(WAIT_S)
    switch.connections.set(switch.with_route(4, 18)).wait(WAIT_S)
    assert switch.connections.last == (20, 0, 19, 18, *(12 * [0]))
    switch.connections.set([0] * 16).wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        switch.connection.checked(Connections.add([(1, 99)]))
    assert transport.exhausted


def test_connections_are_an_array_with_one_place_for_each_ingress_port(switch: Any, fake: Any):
    before = len(fake.written)
    assert switch.read()["dev_connections"]["value"] == (5, 6, 0, 0)
    key = switch.describe()["dev_connections"]
    assert (key["dtype"], key["shape"], key["units"]) == ("array", [4], "1")
    assert len(fake.written) == before


def test_no_connections_at_all_can_be_described(connected: Any, fake: Any):
    fake.table = {}
    switch = connected(Polatis6000, fake)
    assert switch.read()["dev_connections"]["value"] == (0, 0, 0, 0)
    assert switch.describe()["dev_connections"]["shape"] == [4]


def test_setting_touches_only_what_differs(switch: Any, fake: Any):
    switch.connections.set([5, 0, 6, 0]).wait(WAIT_S)
    sent = [message for message in fake.written if b"CONN:ADD" in message or b"CONN:SUB" in message]
    assert sent == [b":OXC:SWIT:CONN:SUB (@2),(@6)", b":OXC:SWIT:CONN:ADD (@3),(@6)"]
    assert fake.table == {1: 5, 3: 6}


def test_setting_what_is_there_sends_no_change(switch: Any, fake: Any):
    switch.connections.set((5, 6, 0, 0)).wait(WAIT_S)
    assert not any(b"CONN:ADD" in message or b"CONN:SUB" in message for message in fake.written)


def test_a_route_displaces_the_connections_of_its_ports_only(switch: Any, fake: Any):
    switch.route(1, 6).wait(WAIT_S)
    assert fake.table == {1: 6}
    switch.route(3, 8).wait(WAIT_S)
    assert fake.table == {1: 6, 3: 8}
    assert switch.connections.last == (6, 0, 8, 0)
    switch.route(1, 0).wait(WAIT_S)
    assert fake.table == {3: 8}


def test_a_route_is_added_to_what_the_instrument_has_now(switch: Any, fake: Any):
    fake.table = {4: 8}
    switch.route(1, 5).wait(WAIT_S)
    assert fake.table == {4: 8, 1: 5}


def test_a_value_with_a_route_is_built_without_io(switch: Any, fake: Any):
    before = len(fake.written)
    assert switch.with_route(3, 5) == (0, 6, 5, 0)
    assert switch.with_route(4, 7, connections=switch.with_route(3, 5)) == (0, 6, 5, 7)
    assert len(fake.written) == before


def test_a_plan_moves_the_connections_and_puts_them_back(switch: Any, fake: Any, run_engine: RunEngine):
    run_engine(bpp.reset_positions_wrapper(bps.mv(switch.connections, switch.with_route(3, 7))))
    assert b":OXC:SWIT:CONN:ADD (@3),(@7)" in fake.written
    assert fake.table == {1: 5, 2: 6}


def test_a_scan_over_connections_is_recorded(switch: Any, recorded: Any):
    values = [switch.with_route(3, 7), switch.with_route(3, 8)]
    axis: Any = (switch.connections, values)
    events = recorded(bp.list_scan([switch], *axis))
    assert [event["dev_connections"] for event in events] == values


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([5, 6, 0], "3 connections: must be 4"),
        ([5, 5, 0, 0], "egress port 5 is given to ingress ports 1 and 2"),
        ([9, 0, 0, 0], "egress port 9 of ingress port 1: must be 5 to 8, or 0"),
        ([4, 0, 0, 0], "egress port 4 of ingress port 1: must be 5 to 8, or 0"),
        ([5.5, 0, 0, 0], "whole numbers"),
    ],
)
def test_impossible_connections_are_refused_before_anything_is_sent(
    switch: Any, fake: Any, value: list[float], message: str
):
    before = len(fake.written)
    with pytest.raises(LocalProtocolError, match=f"dev_connections: .*{message}"):
        switch.connections.set(value)
    assert len(fake.written) == before


def test_connections_are_finite_numbers(switch: Any):
    with pytest.raises(LimitError, match="dev_connections, ingress port 2: nan"):
        switch.connections.set([5, float("nan"), 0, 0])


@pytest.mark.parametrize(("ingress", "egress"), [(0, 5), (5, 5), (1, 4), (1, 9)])
def test_routes_of_ports_that_are_not_there_are_refused(switch: Any, fake: Any, ingress: int, egress: int):
    before = len(fake.written)
    with pytest.raises(LocalProtocolError, match="port"):
        switch.route(ingress, egress)
    with pytest.raises(LocalProtocolError, match="port"):
        switch.with_route(ingress, egress)
    assert len(fake.written) == before


def test_ports_are_unknown_before_it_is_connected(fake: Any):
    switch = Polatis6000("memory", name="dev", label="lab.dev", transport=fake)
    with pytest.raises(LabError, match=r"lab\.dev"):
        switch.route(1, 5)


def test_it_waits_until_the_light_has_its_new_path(switch: Any, fake: Any, clock: Any):
    fake.busy_after_command = 3
    switch.route(3, 7).wait(WAIT_S)
    assert clock.now_ps() == 3 * 20_000_000_000


def test_a_refusal_carries_the_instruments_reason(switch: Any, fake: Any):
    fake.refuse[":OXC:SWIT:CONN:STAT?"] = '-310, "System error"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -310, 'System error'"):
        switch.trigger().wait(WAIT_S)


def test_a_switch_that_does_not_switch_is_reported(switch: Any, fake: Any):
    fake.deaf = True
    with pytest.raises(AcquisitionError, match=r"dev_connections: set to \(5, 6, 7, 0\)"):
        switch.connections.set((5, 6, 7, 0)).wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(switch: Any, fake: Any):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        switch.route(3, 7).wait(WAIT_S)


def test_a_failed_run_leaves_the_light_on_its_path(switch: Any, fake: Any):
    switch.stop()
    switch.submit(lambda _status: None).wait(WAIT_S)
    assert fake.table == {1: 5, 2: 6}


@pytest.mark.parametrize(
    ("reply", "pairs"),
    [
        (b"(@1,2,3),(@19,18,22)", ((1, 19), (2, 18), (3, 22))),
        (b"(@),(@)", ()),
        (b" (@1, 2) , (@17, 18)\r", ((1, 17), (2, 18))),
    ],
)
def test_replies_are_pairs_of_ports(reply: bytes, pairs: tuple[tuple[int, int], ...]):
    assert port_lists(reply) == pairs


@pytest.mark.parametrize("reply", [b"", b"(@1)", b"(@1,2),(@17)", b"(@a),(@b)", b"<none>"])
def test_other_replies_are_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        port_lists(reply)


@pytest.mark.parametrize("reply", [b"16", b"16,16,16", b"0,4", b"1.5,2"])
def test_a_size_has_two_whole_numbers(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        matrix_size(reply)


def test_connections_of_foreign_ports_are_the_instruments_mistake():
    with pytest.raises(RemoteProtocolError, match="no ingress ports"):
        connections_of(((17, 1),), 16)


SIZES = Size(6, 6)
TABLES = st.permutations(range(7, 13)).flatmap(
    lambda ports: st.tuples(*(st.sampled_from([port, 0]) for port in ports))
)


@given(TABLES, st.integers(1, 6), st.integers(7, 12))
def test_a_route_keeps_every_connection_that_does_not_conflict(
    connections: tuple[int, ...], ingress: int, egress: int
):
    changed = with_route(connections, ingress, egress)
    SIZES.check(changed)
    assert changed[ingress - 1] == egress
    kept = {pair for pair in routes(connections) if pair[0] != ingress and pair[1] != egress}
    assert set(routes(changed)) == kept | {(ingress, egress)}


@given(TABLES)
def test_pairs_and_arrays_say_the_same(connections: tuple[int, ...]):
    assert connections_of(routes(connections), 6) == connections
