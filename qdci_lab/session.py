"""The composition root: a testbed's configuration becomes connected devices, a RunEngine and a recorder."""

import asyncio
import contextlib
import dataclasses
import importlib
import json
import logging
import os
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, runtime_checkable

import bluesky.preprocessors as bpp
from bluesky import RunEngine
from bluesky.utils import Msg, MsgGenerator

import qdci_lab
from qdci_lab.addresses import REPLAY, address_kind
from qdci_lab.baseline import Baseline
from qdci_lab.clock import Clock, LabClock, WallClock
from qdci_lab.config import SIMULATED, Testbed, load_testbed, resolve
from qdci_lab.connection import Connection
from qdci_lab.device import LabDevice
from qdci_lab.errors import ConfigError, LabError, NotConnected, RecordError
from qdci_lab.record.provenance import provenance
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.recovery import recover_folder
from qdci_lab.recorded_bench import RecordedBench
from qdci_lab.sim_process import SimulatedBench, find_bench, start_bench
from qdci_lab.transport.tap import TapTransport

WIRE_LOG_SUFFIX = ".wire"
PACKAGES = ("drivers", "plans", "sim_devices")
PLANS = "plans"
FIND_TWIN_MISTAKES = "sim_devices.config:find_mistakes"


@runtime_checkable
class RecordsTags(Protocol):
    """A device that writes time tags into a folder that the session chooses."""

    segment_directory: Path | None


@dataclass
class Session:
    """A testbed in use. Close it: devices are disconnected and a simulated bench of ours is stopped."""

    testbed: Testbed
    devices: Mapping[str, LabDevice]
    lab_clock: LabClock | None
    bench: SimulatedBench | None = None
    link: Any = None
    directory: Path = field(default_factory=lambda: Path("data"))
    wire_logs: Mapping[str, Path] = field(default_factory=dict)
    recovered: Sequence[str] = ()
    """A line for each run that was found left behind in the folder, and what came of its recovery."""
    recorders: list[Recorder] = field(default_factory=list)
    when_closed: list[Callable[[], None]] = field(default_factory=list)
    """What waits for work that goes on beside the session, once its files are there."""
    baseline: Baseline = field(default_factory=Baseline)
    recorded_bench: RecordedBench | None = None

    @property
    def source(self) -> str:
        """Where the data come from: `twin`, `replay`, `bench` or `mixed`."""
        return self.testbed.source

    def everything(self) -> dict[str, LabDevice]:
        """The devices by role, and the link."""
        return {**self.devices, **({"link": self.link} if self.link is not None else {})}

    def namespace(self) -> dict[str, Any]:
        """The devices as a prompt shows them: `alice.voa`, `switch`, `link`."""
        names: dict[str, Any] = {}
        for role, device in self.everything().items():
            party, _, part = role.rpartition(".")
            if party:
                setattr(names.setdefault(party, SimpleNamespace()), part, device)
            else:
                names[part] = device
        return names

    def connect(self) -> None:
        """Reach every device at once; NotConnected names all that failed, each with its reason."""
        failures = {role: error for role, error in self.try_to_connect().items() if error is not None}
        if failures:
            raise NotConnected(failures)
        if self.link is not None:
            self.link.connect()

    def try_to_connect(self) -> dict[str, LabError | None]:
        """Reach every device at once; what failed, by role, None where all is well.

        The first readings follow one by one: some take lab time, and two runs with one seed must find the same.
        """
        with ThreadPoolExecutor(max_workers=max(len(self.devices), 1)) as pool:
            reached = pool.map(lambda device: _failure(device.reach), self.devices.values())
            failures = dict(zip(self.devices, reached, strict=True))
        for role, device in self.devices.items():
            if failures[role] is None:
                failures[role] = _failure(device.refresh)
        return failures

    def run_engine(self) -> tuple[Any, Recorder]:
        """A RunEngine whose first subscriber records, whose sleeps pass on the bench's own clock.

        Runs that a crash left behind in the folder are recovered first. Every run begins and ends with readings of the
        devices that are connected.
        """
        self.recovered = recover_folder(self.directory)
        engine = RunEngine({})
        engine.preprocessors.append(self.with_metadata)
        self.baseline = Baseline(baseline=[device for device in self.devices.values() if device.is_measured])
        engine.preprocessors.append(self.baseline)
        engine.register_command("sleep", self._sleep)
        recorder = Recorder(self.directory)
        engine.subscribe(recorder)
        self.recorders.append(recorder)
        for device in self.devices.values():
            if isinstance(device, RecordsTags):
                device.segment_directory = self.directory
        return engine, recorder

    def with_metadata(self, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """The plan, with every start document saying where its data come from."""
        return (yield from bpp.inject_md_wrapper(plan, self.metadata()))

    def metadata(self) -> dict[str, Any]:
        """What every run of this session says of itself in its start document."""
        seed = {} if self.bench is None else {"seed": self.bench.seed}
        return {
            "testbed": self.testbed.name,
            "source": self.source,
            **seed,
            **({} if self.recorded_bench is None else self.recorded_bench.metadata),
            "configuration_files": {
                file.removesuffix(".toml"): text for file, text in self.testbed.texts.items()
            },
            **provenance(Path(qdci_lab.__file__).parent.parent),
        }

    def close(self) -> None:
        """Disconnect everything; a simulated bench of ours ends. RecordError for a run whose file cannot be built."""
        for device in self.everything().values():
            device.disconnect()
        if self.lab_clock is not None:
            self.lab_clock.close()
        if self.bench is not None:
            self.bench.stop()
        for recorder in self.recorders:
            recorder.wait()
        for finish in self.when_closed:
            finish()

    def sleep(self, seconds: float) -> None:
        """Let time pass for every device: lab time for simulated ones, the wall's for real ones, none if recorded."""
        if self.recorded_bench is not None:
            return
        if self.lab_clock is not None:
            self.lab_clock.sleep(seconds)
        if self.lab_clock is None or self.source == "mixed":
            WallClock().sleep(seconds)

    async def _sleep(self, message: Msg) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.sleep, float(message.args[0]))


def open_session(
    folder: Path,
    *,
    addresses: str,
    directory: Path | None = None,
    seed: int | None = None,
    wire_log: Path | None = None,
    recorded: Path | None = None,
) -> Session:
    """Validate, find or start the simulated bench if there is one, and build every device; nothing is connected yet.

    With `recorded`, the devices are those of the testbed, but all answer from that file.

    With `wire_log`, what passes to and from each instrument on a byte pipe is written into `<role>.wire` there.
    """
    check_one_house()
    testbed = validated(folder, addresses)
    if recorded is not None:
        return _on_recording(testbed, recorded, directory or Path("data"))
    if wire_log is not None:
        _make_room(wire_log)
    with contextlib.ExitStack() as undo:
        bench = None
        if testbed.is_simulated:
            bench = (find_bench(folder) if seed is None else None) or start_bench(folder, seed=seed)
            undo.callback(bench.stop)
        session = _assembled(testbed, bench, directory or Path("data"))
        if wire_log is not None:
            session.wire_logs = _tap(session.devices, wire_log)
        undo.pop_all()
    return session


def _on_recording(testbed: Testbed, recorded: Path, directory: Path) -> Session:
    """The testbed's devices, answering from a recorded file."""
    bench = RecordedBench(recorded.resolve())
    address = f"{REPLAY}{bench.path}"
    devices = {role: dataclasses.replace(spec, address=address) for role, spec in testbed.devices.items()}
    session = _assembled(dataclasses.replace(testbed, devices=devices), None, directory)
    bench.answer_for(session.devices, session.link)
    session.recorded_bench = bench
    return session


def validated(folder: Path, addresses: str) -> Testbed:
    """A testbed with every file of it checked, the twin's too when a device is simulated; all mistakes at once."""
    mistakes = []
    try:
        testbed = load_testbed(folder, addresses)
    except ConfigError as error:
        testbed = None
        mistakes += error.mistakes
    if (folder / "twin.toml").exists() and (testbed is None or testbed.is_simulated):
        mistakes += [mistake for mistake in resolve(FIND_TWIN_MISTAKES)(folder) if mistake not in mistakes]
    if mistakes or testbed is None:
        raise ConfigError(mistakes)
    return testbed


def find_plans() -> dict[str, Callable[..., Any]]:
    """The plans by name: each module of the package holds the plan of its own name."""
    package = importlib.import_module(PLANS)
    modules = [
        importlib.import_module(f"{PLANS}.{entry.name}") for entry in pkgutil.iter_modules(package.__path__)
    ]
    named = {module.__name__.rpartition(".")[2]: module for module in modules}
    return {name: getattr(module, name) for name, module in named.items() if hasattr(module, name)}


def check_one_house() -> None:
    """Refuse to mix checkouts: drivers, plans and simulators must come from where this package comes from."""
    home = Path(qdci_lab.__file__).parent.parent
    for name in PACKAGES:
        found = Path(importlib.import_module(name).__file__ or "").parent.parent
        if found != home:
            raise LabError(
                f"the package {name} comes from {found}, but qdci_lab from {home}: install one of them only"
            )


def _assembled(testbed: Testbed, bench: SimulatedBench | None, directory: Path) -> Session:
    lab_clock = None if bench is None else LabClock(bench.control)
    clocks = {role: _clock(spec.address, lab_clock) for role, spec in testbed.devices.items()}
    devices = {
        role: spec.driver(
            _address(spec.address, role, bench, testbed.folder),
            name=role.replace(".", "_"),
            label=role,
            clock=clocks[role],
            **spec.options,
        )
        for role, spec in testbed.devices.items()
    }
    link = None
    if testbed.link is not None:
        parts = {part: devices[role] for part, role in testbed.link.devices.items()}
        link = testbed.link.driver(name="link", label="link", devices=parts, **testbed.link.options)
    return Session(testbed, devices, lab_clock, bench, link, directory)


def _clock(address: str, lab_clock: LabClock | None) -> Clock:
    """Lab time for a simulated instrument, the wall's for a real one beside it."""
    return lab_clock if lab_clock is not None and address.startswith(SIMULATED) else WallClock()


def _address(address: str, role: str, bench: SimulatedBench | None, folder: Path) -> str:
    """Where a device is: the bench knows it for a simulated one, a recording's path begins at the testbed's folder."""
    if address_kind(address) == "replay":
        return f"{REPLAY}{folder / address.removeprefix(REPLAY)}"
    if not address.startswith(SIMULATED):
        return address
    if bench is None or role not in bench.devices:
        raise LabError(f"{role}: the simulated bench has no such device")
    return bench.devices[role].address


def _make_room(directory: Path) -> None:
    """A folder without recordings; RecordError if there are some, which would be lost."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.glob(f"*{WIRE_LOG_SUFFIX}")):
        raise RecordError(f"{directory}: there are recordings already; record into another folder")


def _tap(devices: Mapping[str, LabDevice], directory: Path) -> dict[str, Path]:
    """Put a tap under every byte pipe; the files by role, or `role.attribute` for a second connection of a device."""
    files = {}
    for role, device in devices.items():
        connections = {name: part for name, part in vars(device).items() if isinstance(part, Connection)}
        for name, connection in connections.items():
            full_name = role if name == "connection" else f"{role}.{name}"
            files[full_name] = directory / f"{full_name}{WIRE_LOG_SUFFIX}"
            connection.transport = TapTransport(
                connection.transport, files[full_name], model=device.MODEL, conceal=connection.conceal
            )
    return files


def _failure(action: Callable[[], None]) -> LabError | None:
    try:
        action()
    except LabError as error:
        return error
    return None


def quiet_bluesky() -> None:
    """Keep bluesky's own log of a failed run from the terminal: the error is shown once, in our words."""
    logging.getLogger("bluesky").setLevel(logging.CRITICAL)


class PersistentMetadata(dict[str, Any]):
    """Metadata that survive a restart: a JSON file, replaced as a whole at each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._save()

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._save()

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self, indent=1), encoding="utf-8")
        os.replace(temporary, self._path)
