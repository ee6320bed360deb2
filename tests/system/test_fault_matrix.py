"""Each fault at connect, set, trigger, read and stop: a named error in time, others unharmed, back without a restart.

The table of what was seen stands at the end of pytest's output. In a cell `E > F` is what the first and second attempt
met while the fault lasted; after `then` come the errors that attempts still met when it was over, before one succeeded.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.amplifier.fiberlabs_edfa import FiberlabsEdfa
from drivers.time_tagger.qutag import QuTag
from drivers.voa.keysight_n7764a import KeysightN7764A
from qdci_lab.clock import LabClock
from qdci_lab.device import LabDevice
from qdci_lab.errors import AcquisitionError, LabError, RemoteProtocolError, SettingsChanged, TransportError
from qdci_lab.sim_process import ask
from sim_devices.bench import Bench

TIMEOUT_S = 0.3
SLACK_S = 1.0  # for a computer that is busy with other things; a hung conversation takes ten times as long
WAIT_S = 30.0
RECOVERY_S = 5.0
OPERATIONS = ("connect", "set", "trigger", "read", "stop")
VOA, AMPLIFIER, TAGGER = "alice.voa", "classical.amplifier", "bob.tagger"
RESTARTS = ("reboot", "power_glitch")

ON_WIRES = (
    "late_reply", "dropped_connection", "half_open_link", "truncated_reply", "garbage", "wrong_identity", "busy",
    "stuck_error_queue", "reboot", "power_glitch",
)  # fmt: skip
ON_LIBRARY = (
    "dropped_connection",
    "wrong_identity",
    "busy",
    "reboot",
    "power_glitch",
    "hung_call",
    "tag_overflow",
)
KINDS = (*ON_WIRES, "hung_call", "tag_overflow")

NOT_APPLICABLE = {
    **{(kind, VOA): "n/a: has no library" for kind in ("hung_call", "tag_overflow")},
    **{(kind, AMPLIFIER): "n/a: has no library" for kind in ("hung_call", "tag_overflow")},
    ("stuck_error_queue", AMPLIFIER): "n/a: has no error queue",
    ("stuck_error_queue", TAGGER): "n/a: has no error queue",
    ("late_reply", TAGGER): "n/a: see hung_call",
    ("half_open_link", TAGGER): "n/a: see hung_call",
    ("truncated_reply", TAGGER): "n/a: the library checks it",
    ("garbage", TAGGER): "n/a: the library checks it",
}
"""Why a fault cannot happen to an instrument."""

UNTOUCHED = {
    ("stuck_error_queue", VOA): ("trigger", "read"),  # readings do not ask the error queue, and are right
    ("tag_overflow", TAGGER): ("connect", "set", "read"),  # no tags are taken
}
"""Operations that a fault does nothing to; they must succeed and their result must be right."""


@dataclass(frozen=True)
class Subject:
    """A device, how each operation is done with it, and whether what it reports and its safe state are true."""

    device: LabDevice
    operations: dict[str, Callable[[], None]]
    is_true: Callable[[], bool]
    is_safe: Callable[[], bool] = lambda: True


@pytest.fixture(scope="module")
def bench(testbed_folder: Path) -> Iterator[Bench]:
    with Bench(testbed_folder) as running:
        yield running


@pytest.fixture(scope="module")
def clock(bench: Bench) -> Iterator[LabClock]:
    clock = LabClock(bench.control_address)
    yield clock
    clock.close()


@pytest.fixture(scope="module")
def make(bench: Bench, clock: LabClock) -> Iterator[Callable[..., Any]]:
    made: list[LabDevice] = []

    def make(kind: type[LabDevice], role: str, **options: Any) -> Any:
        device = kind(
            bench.devices[role].address, name=role.replace(".", "_"), label=role, clock=clock, **options
        )
        made.append(device)
        return device

    yield make
    for device in made:
        device.disconnect()


def basics(device: LabDevice) -> dict[str, Callable[[], None]]:
    return {
        "connect": device.connect,
        "trigger": lambda: device.trigger().wait(WAIT_S),
        "stop": lambda: device.make_safe().wait(WAIT_S),
    }


@pytest.fixture(scope="module")
def subjects(bench: Bench, make: Callable[..., Any]) -> dict[str, Subject]:
    voa = make(KeysightN7764A, VOA, slot=1, timeout_s=TIMEOUT_S)
    amplifier = make(FiberlabsEdfa, AMPLIFIER, timeout_s=TIMEOUT_S)
    patient = make(QuTag, TAGGER)  # the first tags may have to wait for a kernel to be compiled
    patient.connect()
    patient.trigger().wait(WAIT_S)
    patient.disconnect()
    tagger = make(QuTag, TAGGER, device_id=0, timeout_s=TIMEOUT_S)
    light = {name: bench.twin.handle(name) for name in ("alice_voa", "amplifier")}
    return {
        VOA: Subject(
            voa,
            {
                **basics(voa),
                "set": lambda: voa.attenuation.set(12.5).wait(WAIT_S),
                "read": voa.attenuation.get,
            },
            lambda: voa.attenuation.get() == light["alice_voa"].setting("attenuation_db"),
            lambda: light["alice_voa"].setting("shutter_open") is False,
        ),
        AMPLIFIER: Subject(
            amplifier,
            {
                **basics(amplifier),
                "set": lambda: amplifier.output_power_setpoint.set(10.5).wait(WAIT_S),
                "read": amplifier.output_power_setpoint.get,
            },
            lambda: amplifier.output_power_setpoint.get() == light["amplifier"].setting("output_power_dbm"),
            lambda: light["amplifier"].setting("emission_on") is False,
        ),
        TAGGER: Subject(
            tagger,
            {
                **basics(tagger),
                "set": lambda: tagger.channel_delays.set((0, 10, 20, 30)).wait(WAIT_S),
                "read": tagger.channel_mask.get,
            },
            lambda: tagger.channel_mask.get() == 0b11110,
        ),
    }


@pytest.fixture(scope="module")
def bystander(make: Callable[..., Any]) -> KeysightN7764A:
    device = make(KeysightN7764A, "classical.launch_voa", slot=1, timeout_s=5.0)
    device.connect()
    return device


@pytest.fixture(autouse=True)
def healthy(bench: Bench) -> Iterator[None]:
    yield
    bench.clear_faults()


def prepared(subject: Subject) -> None:
    """Connected, and set to something that a reboot forgets."""
    device = subject.device
    device.connect()
    if isinstance(device, QuTag):
        device.acquisition_time.set(0.001).wait(WAIT_S)
        device.channel_delays.set((0, 1, 2, 3)).wait(WAIT_S)
    elif isinstance(device, KeysightN7764A):
        device.attenuation.set(7.25).wait(WAIT_S)
        device.shutter_open.set(1).wait(WAIT_S)
    elif isinstance(device, FiberlabsEdfa):
        device.output_power_setpoint.set(8.5).wait(WAIT_S)
        device.emission.set(1).wait(WAIT_S)
    device.trigger().wait(WAIT_S)


def attempted(operation: Callable[[], None]) -> LabError | None:
    """What the operation met: a named error in time, or nothing."""
    began_s = time.monotonic()
    error = None
    try:
        operation()
    except LabError as met:
        error = met
    took_s = time.monotonic() - began_s
    assert took_s < TIMEOUT_S + SLACK_S, f"{took_s:.2f} s, with a timeout of {TIMEOUT_S} s: {error}"
    return error


def named(role: str, error: LabError) -> str:
    assert role in str(error), error
    return type(error).__name__


def recover(role: str, operation: Callable[[], None]) -> list[str]:
    """Repeat the operation until it succeeds; the errors on the way."""
    errors: list[str] = []
    deadline_s = time.monotonic() + RECOVERY_S
    while (error := attempted(operation)) is not None:
        name = named(role, error)
        if name not in errors:
            errors.append(name)
        assert time.monotonic() < deadline_s, f"{role} does not come back: {error}"
    return errors


def arm(bench: Bench, role: str, **fault: Any) -> None:
    ask(bench.control_address, {"op": "fault", "device": role, "fault": fault})


def clear(bench: Bench, role: str) -> None:
    ask(bench.control_address, {"op": "clear_faults", "device": role})


def possible(role: str) -> list[Any]:
    return [
        pytest.param(kind, operation, id=f"{kind}-{operation}")
        for kind in KINDS
        for operation in OPERATIONS
        if (kind, role) not in NOT_APPLICABLE
    ]


def cell(bench, subjects, bystander, note_cell, role: str, kind: str, operation: str) -> None:
    subject = subjects[role]
    prepared(subject)
    if operation == "connect":
        subject.device.disconnect()
    arm(bench, role, kind=kind)
    act = subject.operations[operation]
    untouched = operation in UNTOUCHED.get((kind, role), ())
    first = attempted(act)
    seen = [] if first is None else [named(role, first)]
    assert bystander.attenuation.get() >= 0.0
    if untouched:
        assert first is None
        assert subject.is_true()
    elif kind == "power_glitch":
        assert first is not None or operation in ("connect", "stop")
    else:
        assert first is not None
        again = attempted(act)
        assert again is not None
        seen.append(named(role, again))
        if kind == "wrong_identity" and role == VOA:
            assert isinstance(again, RemoteProtocolError)
    clear(bench, role)
    after = recover(role, act)
    assert operation != "stop" or subject.is_safe()
    if kind in RESTARTS and operation in ("set", "trigger", "read"):
        assert SettingsChanged.__name__ in [*seen, *after]
    assert subject.is_true()
    subject.device.trigger().wait(WAIT_S)
    note_cell(kind, role, operation, words(seen, after))


def words(seen: list[str], after: list[str]) -> str:
    during = " > ".join(dict.fromkeys(seen)) or "no error, right result"
    return during + (f"; then {' > '.join(after)}" if after else "")


@pytest.mark.parametrize(("kind", "operation"), possible(VOA))
def test_a_scpi_instrument_on_a_socket(bench, subjects, bystander, note_cell, kind, operation):
    cell(bench, subjects, bystander, note_cell, VOA, kind, operation)


@pytest.mark.parametrize(("kind", "operation"), possible(AMPLIFIER))
def test_an_instrument_on_a_serial_line(bench, subjects, bystander, note_cell, kind, operation):
    cell(bench, subjects, bystander, note_cell, AMPLIFIER, kind, operation)


@pytest.mark.parametrize(
    ("kind", "operation"), [entry for entry in possible(TAGGER) if entry.values[1] != "stop"]
)
def test_the_time_tagger(bench, subjects, bystander, note_cell, kind, operation):
    cell(bench, subjects, bystander, note_cell, TAGGER, kind, operation)


@pytest.mark.parametrize("kind", ON_LIBRARY)
def test_stopping_the_time_tagger_in_mid_acquisition(bench, subjects, bystander, note_cell, kind):
    """The acquisition ends with a named error as soon as somebody stops it, also when a call does not come back."""
    subject = subjects[TAGGER]
    prepared(subject)
    tagger = subject.device
    assert isinstance(tagger, QuTag)
    tagger.acquisition_time.set(80_000.0).wait(WAIT_S)
    met = []

    def stop_it() -> None:
        status = tagger.trigger()
        under_way = []
        status.watch(lambda **_progress: under_way.append(True))
        while not under_way and not status.done:
            continue
        arm(bench, TAGGER, kind=kind)
        tagger.stop()
        error = status.exception(timeout=WAIT_S)
        assert isinstance(error, LabError)
        met.append(error)
        raise error

    error = attempted(stop_it)
    assert error is not None
    seen = [named(TAGGER, error)]
    assert bystander.attenuation.get() >= 0.0
    clear(bench, TAGGER)
    tagger.acquisition_time.set(0.001).wait(WAIT_S)
    after = recover(TAGGER, lambda: tagger.trigger().wait(WAIT_S))
    assert tagger.data_lost.last == 0
    note_cell(kind, TAGGER, "stop", words(seen, after))


def test_cells_that_cannot_be_are_refused_with_the_reason(bench, note_cell):
    for (kind, role), reason in NOT_APPLICABLE.items():
        for operation in OPERATIONS:
            note_cell(kind, role, operation, reason)
    refused = {pair for pair in NOT_APPLICABLE if pair != ("stuck_error_queue", AMPLIFIER)}
    for kind, role in refused:
        with pytest.raises(TransportError, match=rf"{role} is behind .*{kind} happens behind"):
            arm(bench, role, kind=kind)


def test_a_full_buffer_costs_the_acquisition_and_is_said(bench, subjects):
    tagger = subjects[TAGGER].device
    assert isinstance(tagger, QuTag)
    prepared(subjects[TAGGER])
    arm(bench, TAGGER, kind="tag_overflow", after_messages=25, messages=1)
    tagger.acquisition_time.set(2.0).wait(WAIT_S)
    with pytest.raises(AcquisitionError, match=r"bob\.tagger: time tags were lost after"):
        tagger.trigger().wait(WAIT_S)
    assert tagger.data_lost.last == 1
    tagger.trigger().wait(WAIT_S)
    assert tagger.data_lost.last == 0
