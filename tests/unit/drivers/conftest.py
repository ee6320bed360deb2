"""What the tests of the drivers share: connected devices, scripts, a clock, and a RunEngine."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.utils import MsgGenerator

from qdci_lab.clock import Clock
from qdci_lab.device import Instrument
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.scripted import ScriptedTransport
from qdci_lab.wire.transcript import Exchange, load_transcript
from tests.unit.drivers.fake_scpi import FakeScpi

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts"


class StepClock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.at_ps = 0

    def now_ps(self) -> int:
        return self.at_ps

    def sleep(self, seconds: float) -> None:
        self.at_ps += round(seconds * 1e12)


@pytest.fixture
def fake_scpi() -> type[FakeScpi]:
    return FakeScpi


@pytest.fixture
def clock() -> Clock:
    return StepClock()


@pytest.fixture
def transcript() -> Callable[[str], tuple[Exchange, ...]]:
    """The exchanges of a transcript, by its file's stem."""
    return lambda stem: load_transcript(TRANSCRIPTS / f"{stem}.toml").exchanges


@pytest.fixture
def connected(clock: Clock) -> Iterator[Callable[..., Any]]:
    """Makes a connected device of a class that talks to a transport; disconnected at the end."""
    devices: list[Instrument] = []

    def connect(kind: type[Instrument], transport: MemoryTransport, **options: Any) -> Any:
        device = kind("memory", name="dev", label="lab.dev", transport=transport, clock=clock, **options)
        devices.append(device)
        device.connect()
        return device

    yield connect
    for device in devices:
        device.disconnect()


@pytest.fixture
def scripted(connected: Callable[..., Any]) -> Callable[..., tuple[Any, ScriptedTransport]]:
    """A connected device that plays exchanges, and its transport."""

    def play(kind: type[Instrument], exchanges: tuple[Exchange, ...], **options: Any) -> Any:
        transport = ScriptedTransport(exchanges)
        return connected(kind, transport, **options), transport

    return play


@pytest.fixture
def scripted_line(clock: Clock) -> Callable[..., tuple[Any, ScriptedTransport]]:
    """A device on an open line that plays exchanges, and its transport; connecting would ask more than these hold."""

    def play(kind: type[Instrument], exchanges: Sequence[Exchange], **ends: bytes) -> Any:
        transport = ScriptedTransport(
            exchanges, **{"terminator": b"\r\n", "reply_end": b"\r\n", **ends}, chunk=3
        )
        transport.open()
        return kind("scripted", name="dev", label="lab.dev", transport=transport, clock=clock), transport

    return play


@pytest.fixture(scope="module")
def run_engine() -> RunEngine:
    return RunEngine({}, call_returns_result=True, context_managers=[])


@pytest.fixture
def recorded(run_engine: RunEngine) -> Callable[[MsgGenerator], list[dict[str, Any]]]:
    """Runs a plan; the data of its events, in order."""

    def run(plan: MsgGenerator) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        token = run_engine.subscribe(lambda _name, document: events.append(document["data"]), "event")
        try:
            run_engine(plan)
        finally:
            run_engine.unsubscribe(token)
        return events

    return run
