"""What quantum links of every protocol are: instruments together, one acquisition of time tags, its results as signals.

A protocol gives its analysis, how many bits that has sifted so far, and the numbers that an acquisition comes to.
"""

import json
from abc import abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from drivers.key_distribution.tag_measurement import TagMeasurement, soft_setting
from drivers.time_tagger.acquisition import Acquisition
from qdci_lab.signals import Component, TaskStatus, measured, switched
from qdci_lab.units import ps_to_seconds, ratio_to_db


def result_signals(
    units: Mapping[str, str], *, hinted: Collection[str], aliases: Mapping[str, str] | None = None
) -> dict[str, Component]:
    """A signal for each number that an analysis gives, and for each alias (the link's own name to the analysis's)."""
    numbers = {
        key: measured(None, unit, kind="hinted" if key in hinted else "normal") for key, unit in units.items()
    }
    return numbers | {alias: measured(None, units[key]) for alias, key in (aliases or {}).items()}


class QkdLink(TagMeasurement):
    """Alice, the channel and Bob as one device: `trigger` acquires until `detections` bits are sifted.

    `first_tag` and `tag_count` say which of the run's tags the acquisition took (-1: none were kept), `lab_time` when
    it ended, `reached_target` whether all detections came before `max_duration` was over. With `analysis_settings`,
    and the loss where the protocol looks at it, the tags give the same numbers again.

    PARTS are the devices that a link of the protocol must have, OPTIONAL_PARTS those that it may have: None without.
    ALIASES are names that links of every protocol have for a result, with the result's own name here. ANALYSIS is the
    name by which the file calls the protocol; decoy-state BB84 has none.
    """

    PARTS: ClassVar[tuple[str, ...]] = ()
    OPTIONAL_PARTS: ClassVar[tuple[str, ...]] = ()
    ALIASES: ClassVar[Mapping[str, str]] = {}
    ANALYSIS: ClassVar[str] = ""

    voa: Any
    settings: Any

    detections = soft_setting("wanted_detections", "count", (1.0, 1e12))
    max_duration = soft_setting("longest_s", "s", (1e-3, 1e7))
    keep_tags = switched(
        lambda device: int(device.tagger.keep_tags), lambda device, on: setattr(device.tagger, "keep_tags", bool(on)),
        kind="config",
    )  # fmt: skip
    lab_time = measured(None, "s", precision=6)
    first_tag = measured(None, "1", precision=0)
    tag_count = measured(None, "count", precision=0)
    reached_target = measured(None, "1", precision=0)
    analysis_settings = measured(lambda device: device.settings_text(), None, kind="config")

    def __init__(
        self,
        *,
        name: str,
        devices: Mapping[str, Any],
        transmitter: Any,
        protocol: Any,
        receiver: Any,
        **kwargs: Any,
    ) -> None:
        self.transmitter = transmitter
        self.protocol = protocol
        self.receiver = receiver
        self.code = protocol.code()
        self.wanted_detections = 1e6
        self.longest_s = 3600.0
        present = [*self.PARTS, *(part for part in self.OPTIONAL_PARTS if part in devices)]
        self.parts = tuple(devices[part] for part in present)
        for part in (*self.PARTS, *self.OPTIONAL_PARTS):
            setattr(self, part, devices.get(part))
        super().__init__("", name=name, **kwargs)

    @property
    def everything(self) -> tuple[Any, ...]:
        """The link and every device of it."""
        return (self, *self.parts)

    @property
    def signal_attenuation_db(self) -> float:
        """What Alice's attenuator must be set to for signal pulses of mean photon number mu at the fibre's input."""
        return round(ratio_to_db(self.transmitter.mean_photon_number_unattenuated / self.protocol.mu), 3)

    def settings_text(self) -> str:
        """The analysis's settings as JSON, for the file: a replay needs no more than these, the tags, and the loss."""
        name = {"analysis": self.ANALYSIS} if self.ANALYSIS else {}
        return json.dumps(name | self.settings.to_dict(), sort_keys=True)

    @abstractmethod
    def begin_analysis(self) -> Any:
        """What takes in the tags of one acquisition by its `add`; only the worker calls this."""

    @abstractmethod
    def sifted(self, analysis: Any) -> int:
        """How many of the bits that `detections` counts are sifted so far."""

    @abstractmethod
    def evaluate(self, analysis: Any, duration_ps: int) -> Mapping[str, Any]:
        """What the acquisition comes to, by the names of its signals."""

    def measure(self, status: TaskStatus) -> None:
        """Acquire and compute the key rates; only the worker calls this."""
        analysis = self.begin_analysis()
        acquisition = self.tagger.acquire(
            analysis.add,
            lambda: self.sifted(analysis) / self.wanted_detections,
            max_duration_s=self.longest_s,
            status=status,
        )
        self._store_acquisition(acquisition)
        results = self.evaluate(analysis, acquisition.duration_ps)
        for key, value in results.items():
            getattr(self, key).store(value)
        for alias, key in self.ALIASES.items():
            getattr(self, alias).store(results[key])

    def _store_acquisition(self, acquisition: Acquisition) -> None:
        self.first_tag.store(self.tagger.first_tag.last)
        self.tag_count.store(acquisition.count)
        self.reached_target.store(int(acquisition.complete))
        self.lab_time.store(ps_to_seconds(acquisition.start_ps + acquisition.duration_ps))
