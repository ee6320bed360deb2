"""Polatis6000Tl1 against its transcript and against a switch that speaks unasked and wants a login on each link."""

import re
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine

from drivers.optical_switch import polatis_6000_tl1_codec as codec
from drivers.optical_switch.matrix_connections import Size
from drivers.optical_switch.polatis_6000_tl1 import Polatis6000Tl1
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LabError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
    TransportTimeout,
)
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.scripted import ScriptedTransport

WAIT_S = 5.0
MESSAGE = re.compile(r"([A-Z-]+):[^:]*:([^:]*):(\d+):(.*);")
ALARM = '\r\n\r\n   SW 26-11-21 04:00:00\r\nA  7 REPT ALM EQPT\r\n   "SYSTEM:MN"\r\n;'


class Switch(MemoryTransport):
    """Four by four ports. Each answer comes behind an acknowledgement, an alarm and an answer to somebody else."""

    def __init__(self) -> None:
        super().__init__(self.hear, chunk=11)
        self.table = {1: 5, 2: 6}
        self.password = "root"
        self.users = 0
        self.model = "Polatis,N-VST-4x4-LU1-DMHNV,OCS,6.5.2.18"
        self.deaf = self.silent = self.gone = False
        self.heard: list[str] = []

    def open(self) -> None:
        super().open()
        self.users = 0

    def hear(self, data: bytes) -> bytes:
        if self.gone:
            raise TransportError("memory: the instrument closed the link")
        match = MESSAGE.fullmatch(data.decode())
        assert match, data
        word, target, tag, rest = match.groups()
        self.heard.append(data.decode())
        if self.silent:
            return b""
        code, lines = self.obey(word, target, rest)
        strange = f"\r\n\r\n   SW 26-11-21 04:00:00\r\nM  {int(tag) + 500} DENY\r\n   IIAC\r\n;"
        reply = "".join(f"\r\n   {line}" for line in lines)
        heading = f"\r\n\r\n   SW 26-11-21 04:00:00\r\nM  {tag} {code}"
        return f"\r\n\r\nIP {tag}\r\n<{ALARM}{strange}{heading}{reply}\r\n;".encode()

    def obey(self, word: str, target: str, rest: str) -> tuple[str, list[str]]:
        if word == "ACT-USER":
            if rest != f":{self.password}":
                return "DENY", ["PIUI", "/* Privilege, Illegal User Identity */"]
            self.users = 1
            return "COMPLD", []
        if not self.users:
            return "DENY", ["PLNA", "/* Privilege, Login Not Active */"]
        match word:
            case "CANC-USER":
                self.users = 0
            case "RTRV-NETYPE":
                return "COMPLD", [f'"{self.model}"']
            case "RTRV-EQPT":
                return "COMPLD", ['"SYSTEM:SIZE=4x4"']
            case "RTRV-PATCH":
                return "COMPLD", [f'"{left},{right}"' for left, right in self.table.items()]
            case "DLT-PATCH":
                for port in target.split("&"):
                    del self.table[int(port)]
            case "ENT-PATCH":
                return self.connect(*(part.split("&") for part in target.split(",")))
        return "COMPLD", []

    def connect(self, left: list[str], right: list[str]) -> tuple[str, list[str]]:
        for ingress, egress in zip(map(int, left), map(int, right), strict=True):
            if ingress in self.table or egress in self.table.values():
                return "DENY", ["SROF", "/* port in use */"]
            if not self.deaf:
                self.table[ingress] = egress
        return "COMPLD", []

    def changes(self) -> list[str]:
        return [message for message in self.heard if message.startswith(("ENT", "DLT"))]


@pytest.fixture
def fake() -> Switch:
    return Switch()


@pytest.fixture
def switch(connected: Any, fake: Switch) -> Any:
    return connected(Polatis6000Tl1, fake)


def test_it_speaks_as_the_transcript_does(transcript: Any):
    exchanges = transcript("polatis_6000_tl1")
    transport = ScriptedTransport(exchanges, terminator=b";", reply_end=b"\r\n;", chunk=7)
    switch = Polatis6000Tl1("scripted", name="dev", label="lab.dev", transport=transport)
    switch.connect()
    assert switch.size == Size(16, 16)
    assert switch.connections.last[:4] == (17, 18, 19, 0)
    assert switch.ask_routes() == ((1, 17), (2, 18), (3, 19))
    switch.connections.set((20, 18, 0, 17, *(12 * [0]))).wait(WAIT_S)
    with pytest.raises(
        InstrumentError, match=r"lab\.dev: error -1, 'IIAC' in answer to 'ENT-PATCH::1,99:10:'"
    ):
        switch.make([(1, 99)])
    assert transport.exhausted


def test_connecting_logs_in_and_disconnecting_logs_out(switch: Any, fake: Switch):
    assert fake.heard[0] == "ACT-USER::root:1::root;"
    assert switch.identity.last == "Polatis,N-VST-4x4-LU1-DMHNV,OCS,6.5.2.18"
    switch.disconnect()
    assert fake.heard[-1].startswith("CANC-USER::root:")
    assert not fake.is_open
    said = len(fake.heard)
    switch.disconnect()
    assert len(fake.heard) == said


def test_another_user(connected: Any, fake: Switch):
    fake.password = "light"
    connected(Polatis6000Tl1, fake, user="lab", password="light")
    assert fake.heard[0] == "ACT-USER::lab:1::light;"


def test_a_refused_login_says_so_every_time(connected: Any, fake: Switch):
    fake.password = "other"
    for _ in range(2):
        with pytest.raises(InstrumentError, match=r"lab\.dev: error -1, 'PIUI"):
            connected(Polatis6000Tl1, fake)
        assert not fake.is_open


def test_a_lost_link_is_a_new_login(switch: Any, fake: Switch):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        switch.trigger().wait(WAIT_S)
    fake.silent = False
    switch.route(3, 7).wait(WAIT_S)
    assert fake.table == {1: 5, 2: 6, 3: 7}
    assert len([message for message in fake.heard if message.startswith("ACT-USER")]) == 2


def test_every_message_has_a_tag_of_its_own(switch: Any, fake: Switch):
    switch.route(3, 7).wait(WAIT_S)
    tags = [match[3] for match in map(MESSAGE.fullmatch, fake.heard) if match]
    assert len(set(tags)) == len(tags) == len(fake.heard)


def test_setting_touches_only_what_differs(switch: Any, fake: Switch):
    switch.connections.set([5, 0, 6, 8]).wait(WAIT_S)
    assert [re.sub(r":\d+:;", "", message) for message in fake.changes()] == [
        "DLT-PATCH::2",
        "ENT-PATCH::3&4,6&8",
    ]
    assert fake.table == {1: 5, 3: 6, 4: 8}
    assert switch.connections.last == (5, 0, 6, 8)


def test_setting_what_is_there_changes_nothing(switch: Any, fake: Switch):
    switch.connections.set((5, 6, 0, 0)).wait(WAIT_S)
    assert fake.changes() == []


def test_a_route_displaces_the_connections_of_its_ports_only(switch: Any, fake: Switch):
    switch.route(1, 6).wait(WAIT_S)
    assert fake.table == {1: 6}
    fake.table[4] = 8
    switch.route(3, 5).wait(WAIT_S)
    assert fake.table == {1: 6, 4: 8, 3: 5}


def test_a_plan_moves_the_connections(switch: Any, fake: Switch):
    RunEngine({})(bps.mv(switch.connections, switch.with_route(3, 7)))
    assert fake.table == {1: 5, 2: 6, 3: 7}


def test_a_denial_carries_the_instruments_reason(switch: Any):
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -1, 'SROF /\* port in use \*/'"):
        switch.make([(1, 7)])


def test_a_switch_that_does_not_switch_is_reported(switch: Any, fake: Switch):
    fake.deaf = True
    with pytest.raises(AcquisitionError, match=r"dev_connections: set to \(5, 6, 7, 0\)"):
        switch.connections.set((5, 6, 7, 0)).wait(WAIT_S)


def test_impossible_connections_are_refused_before_anything_is_sent(switch: Any, fake: Switch):
    said = len(fake.heard)
    with pytest.raises(LocalProtocolError, match=r"dev_connections: .*egress port 9"):
        switch.connections.set([9, 0, 0, 0])
    assert len(fake.heard) == said


def test_ports_are_unknown_before_it_is_connected(fake: Switch):
    switch = Polatis6000Tl1("memory", name="dev", label="lab.dev", transport=fake)
    with pytest.raises(LabError, match=r"lab\.dev"):
        switch.route(1, 5)


def test_a_link_that_was_closed_behind_our_back_is_named(switch: Any, fake: Switch):
    fake.gone = True
    with pytest.raises(TransportError, match=r"lab\.dev: memory: the instrument closed"):
        switch.trigger().wait(WAIT_S)


def test_another_instrument_is_not_taken_for_it(connected: Any, fake: Switch):
    fake.model = "ROADM,1,2,3"
    with pytest.raises(RemoteProtocolError, match="expected a Polatis 6000"):
        connected(Polatis6000Tl1, fake)


@pytest.mark.parametrize("word", ["", "a b", "a;b", "a:b", 'a"b', "ä"])
def test_words_that_would_break_a_message_are_refused(word: str):
    with pytest.raises(LocalProtocolError, match="user or password"):
        codec.log_in(1, word, "root")
    with pytest.raises(LocalProtocolError, match="user or password"):
        codec.log_in(1, "root", word)


def test_an_empty_list_is_not_taken_for_all_ports():
    for build in (codec.enter_patches, codec.delete_patches):
        with pytest.raises(LocalProtocolError, match="no ports"):
            build(1, [])


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        (codec.switch_size(1), '"SYSTEM:SIZE=4"'),
        (codec.switch_size(1), '"SYSTEM:SIZE=0x4"'),
        (codec.switch_size(1), ""),
        (codec.patches(1), '"1-33"'),
        (codec.identity(1), '"a"\r\n"b"'),
    ],
)
def test_other_lines_are_the_instruments_mistake(query: codec.Query[Any], lines: str):
    with pytest.raises(RemoteProtocolError):
        query.parse(f"   SW 26-11-21 04:00:00\r\nM  1 COMPLD\r\n{lines}".encode())
