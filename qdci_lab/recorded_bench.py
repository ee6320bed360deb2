"""A recorded run as a bench: devices answer from its rows and its time tags, so that a plan can be run on them again.

What a plan sets chooses the row: the first one not yet taken whose values agree with the settings in force. Quantities
that the link computes from time tags are computed anew; where no tags were kept, they are the recorded ones.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from qdci_lab.device import LabDevice
from qdci_lab.errors import RecordError
from qdci_lab.record.replay import Run, documents
from qdci_lab.record.time_tags import TagBlock
from qdci_lab.signals import ControlledSignal, MeasuredSignal, TaskStatus
from qdci_lab.units import seconds_to_ps


@dataclass(frozen=True)
class RecordedAcquisition:
    """The tags of one acquisition, block by block, when it began on the lab's clock, and how long it took."""

    blocks: Iterator[TagBlock]
    start_ps: int
    duration_ps: int


@runtime_checkable
class ReplaysTags(Protocol):
    """A tagger whose acquisitions can come from a recording."""

    recording: Any


@dataclass
class _Row:
    """An event: its values by data key, and whether an acquisition has taken it."""

    data: Mapping[str, Any]
    taken: bool = False


@dataclass
class RecordedBench:
    """The rows of a recorded file, and the settings that a plan has made since."""

    path: Path
    _run: Run = field(init=False)
    _rows: list[_Row] = field(init=False)
    _configuration: dict[str, Any] = field(init=False, default_factory=dict)
    _settings: "dict[str, _Setting]" = field(init=False, default_factory=dict)
    _link: str = field(init=False, default="")
    _now: _Row | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._run = Run(self.path)
        self._rows = [_Row(document["data"]) for name, document in documents(self.path) if name == "event"]
        for descriptor in self._run.descriptors:
            for state in descriptor.get("configuration", {}).values():
                self._configuration |= state["data"]

    @property
    def metadata(self) -> dict[str, Any]:
        """For the start document of a run on this bench."""
        return {"replayed_from": {"uid": self._run.start["uid"], "file": self.path.name}}

    def answer_for(self, devices: Mapping[str, LabDevice], link: LabDevice | None) -> None:
        """Let every instrument, and what the link moves, answer from the recording; nothing is opened."""
        for device in devices.values():
            self._replace_link(device)
            for signal in device.quantities():
                self._replace(signal)
            if isinstance(device, ReplaysTags):
                device.recording = self._acquisition
        if link is not None:
            self._link = link.name
            self._answer_for_link(link)

    def setting(self, key: str, setting: "_Setting", supersedes: tuple[str, ...] = ()) -> None:
        """A plan has set a quantity; settings whose keys begin with one of `supersedes` are no longer in force."""
        if supersedes:
            self._settings = {
                known: value for known, value in self._settings.items() if not known.startswith(supersedes)
            }
        self._settings[key] = setting
        self._now = None

    def value(self, key: str) -> Any:
        """What a quantity was, at the settings in force; RecordError if the recording does not say."""
        if key in self._settings:
            setting = self._settings[key]
            found = (row.data[key] for row in self._rows if key in row.data)
            return next((value for value in found if setting.agrees(value)), setting.value)
        first = [self._now] if self._now else self._fitting()
        row = next((row for row in (*first, *self._rows) if key in row.data), None)
        if row is None and key not in self._configuration:
            raise RecordError(f"{self.path} does not say what {key} was")
        return self._configuration[key] if row is None else row.data[key]

    def take(self) -> Mapping[str, Any]:
        """The row that the next measurement gives, by data key; RecordError if none is left that fits the settings."""
        fitting = self._fitting()
        if not fitting:
            raise RecordError(f"{self.path} holds no row, or no further one, with {self._misfit()}")
        self._now = fitting[0]
        self._now.taken = True
        return self._now.data

    def _fitting(self) -> list[_Row]:
        """Rows that were not taken and contradict no setting, those first that agree with most settings."""
        results = [row for row in self._rows if not row.taken and self._is_result(row)]
        counted = [(self._agreements(row), row) for row in results]
        return [row for count, row in sorted(counted, key=lambda entry: -entry[0]) if count >= 0]

    def _is_result(self, row: _Row) -> bool:
        return any(key.startswith(f"{self._link}_") for key in row.data)

    def _agreements(self, row: _Row) -> int:
        """How many settings the row agrees with, or -1 if it contradicts one."""
        shared = [key for key in self._settings if key in row.data]
        return len(shared) if all(self._settings[key].agrees(row.data[key]) for key in shared) else -1

    def _misfit(self) -> str:
        """The settings that no row has; all that rows know of, if each is there but not all together."""
        recorded = {key: [row.data[key] for row in self._rows if key in row.data] for key in self._settings}
        known = {key: setting for key, setting in self._settings.items() if recorded[key]}
        never = {
            key: setting for key, setting in known.items() if not any(map(setting.agrees, recorded[key]))
        }
        return ", ".join(f"{key} = {setting.value}" for key, setting in (never or known).items()) or "results"

    def _replace_link(self, device: LabDevice) -> None:
        """No byte goes to the instrument: it is as it was, and takes whatever a plan sends to it."""
        substitutes: dict[str, Callable[..., object]] = {
            "reach": lambda: self._recall(device),
            "close_link": lambda: None,
            "enter_safe_state": lambda: None,
            "refresh": lambda: self._refresh(device),
            "trigger": lambda: device.submit(lambda _status: self._refresh(device)),
        }
        if hasattr(device, "set"):
            substitutes["set"] = lambda _value, **_options: device.submit(lambda _status: None)
        for name, substitute in substitutes.items():
            setattr(device, name, substitute)

    def _recall(self, device: LabDevice) -> None:
        self._refresh(device)
        device.recall()

    def _refresh(self, device: LabDevice) -> None:
        """Every quantity of the device that the recording knows."""
        for signal in device.quantities():
            if self._knows(signal.name):
                signal.store(self.value(signal.name))

    def _knows(self, key: str) -> bool:
        return key in self._configuration or any(key in row.data for row in self._rows)

    def _replace(self, signal: MeasuredSignal, supersedes: tuple[str, ...] = ()) -> None:
        """The signal answers from the recording, and what is set is remembered."""
        key = signal.name

        def tell(_device: Any, value: Any) -> None:
            half_step = 0.5 * signal.quantity.resolution if signal.quantity else 0.0
            self.setting(key, _Setting(value, half_step), supersedes)

        signal.answer_with(lambda _device: self.value(key), tell)

    def _answer_for_link(self, link: Any) -> None:
        """What the link moves comes from the rows; its results are computed from tags, or are the recorded ones."""
        moved_parts = getattr(link, "MOVES", {})
        for signal in link.quantities():
            attribute = signal.name.removeprefix(f"{link.name}_")
            if (
                isinstance(signal, ControlledSignal)
                and signal.name not in self._configuration
                and self._knows(signal.name)
            ):
                parts = (getattr(link, part).name for part in moved_parts.get(attribute, ()))
                self._replace(signal, tuple(f"{part}_" for part in parts))
        measure = link.trigger

        def trigger() -> TaskStatus:
            data = self.take()
            if self._first_tag(data) >= 0:
                return measure()
            return link.submit(lambda _status: _store(link, data))

        link.trigger = trigger

    def _first_tag(self, data: Mapping[str, Any]) -> int:
        return int(data.get(f"{self._link}_first_tag", -1))

    def _acquisition(self) -> RecordedAcquisition:
        """What the tagger delivered at the row that was taken."""
        data = self._now.data if self._now is not None and self._now.taken else self.take()
        first = self._first_tag(data)
        if first < 0:
            raise RecordError(f"{self.path}: the time tags of this point were not kept")
        blocks = self._run.tags(first, int(data[f"{self._link}_tag_count"]))
        duration_ps = seconds_to_ps(float(data[f"{self._link}_duration"]))
        end_ps = seconds_to_ps(float(data[f"{self._link}_lab_time"]))
        return RecordedAcquisition(blocks, end_ps - duration_ps, duration_ps)


@dataclass(frozen=True)
class _Setting:
    """A value that was set, and how far a recorded one may be from it."""

    value: Any
    tolerance: float

    def agrees(self, recorded: Any) -> bool:
        wanted, found = np.asarray(self.value), np.asarray(recorded)
        if wanted.shape != found.shape or "U" in wanted.dtype.kind + found.dtype.kind:
            return bool(np.array_equal(wanted, found))
        slack = max(self.tolerance * (1 + 1e-9), 1e-9 * float(np.max(np.abs(wanted), initial=0.0)))
        return bool(np.all(np.abs(found - wanted) <= slack))


def _store(link: LabDevice, data: Mapping[str, Any]) -> None:
    """The recorded results, where nothing is left to compute them from."""
    for signal in link.quantities():
        if signal.name in data and not isinstance(signal, ControlledSignal):
            signal.store(data[signal.name])
