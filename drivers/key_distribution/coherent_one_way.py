"""A coherent-one-way link built from the lab's instruments, as one device that measures a key rate.

Source of the experiment: Qiu et al., sections 2.1 and 3. Key and error rates and the visibility come from the time tags
and from the code that Alice sends; how, is in `qdci_lab.analysis.cow_tags` and `cow_result`.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ophyd.device import create_device_from_components

from drivers.awg.waveforms import Waveforms
from drivers.key_distribution.cow_settings import (
    CowAgreement,
    CowChannel,
    CowTransmitter,
    cow_analysis_settings,
)
from qdci_lab.analysis.cow import ASSUMPTIONS
from qdci_lab.analysis.cow_result import COW_UNITS, CowReceiver, CowResult
from qdci_lab.analysis.cow_tags import CowAnalysis
from qdci_lab.device import LabDevice
from qdci_lab.signals import TaskStatus, controlled, measured, switched
from qdci_lab.units import ps_to_seconds, ratio_to_db

HINTED = ("n_key", "qber", "visibility", "skr_restricted_collective")
# Names that links of every protocol have, and what they are here.
ALIASES = {
    "key_rate": "skr_restricted_collective",
    "key_rate_error": "skr_restricted_collective_error",
    "error_rate": "qber",
    "error_rate_low": "qber_low",
    "error_rate_high": "qber_high",
    "detection_rate": "rate_data",
}
# On the bench an acquisition lasts as long as it is asked to; a simulated one may take longer than its lab time.
WALL_PER_LAB_TIME, WALL_ALLOWANCE_S = 2.0, 180.0

CowResults: Any = create_device_from_components(
    "CowResults",
    docstring="What a coherent-one-way acquisition comes to, as signals; keys and units are the analysis's own.",
    base_class=LabDevice,
    remark=measured(None, None),
    **{
        key: measured(None, units, kind="hinted" if key in HINTED else "normal")
        for key, units in COW_UNITS.items()
    },
)


def _soft(attribute: str, units: str, limits: tuple[float, float]) -> Any:
    """A setting that lives in this device, not in an instrument."""
    return controlled(
        lambda device: getattr(device, attribute),
        lambda device, value: setattr(device, attribute, float(value)),
        units, limits=limits, resolution=0.0, kind="config",
    )  # fmt: skip


class CowLink(CowResults):
    """Alice, the fibre and Bob as one device: `trigger` acquires until `detections` bits are sifted.

    `added_loss` is what the channel's attenuator adds to the fibre. `key_rate`, `error_rate` and `detection_rate` are
    what links of every protocol have: here the rate against restricted collective attacks, the QBER of the data line,
    and all clicks of its detector. `assumptions` says what each key rate stands on. An acquisition without a lock is
    no failure: its key rate is zero, and `remark` says why. Settings are the tables of the link in the configuration.
    """

    MODEL = "coherent-one-way link"
    KEY_RATE_MEANS: ClassVar[str] = "coherent one-way, restricted collective attacks only"
    PARTS: ClassVar[tuple[str, ...]] = ("awg", "laser", "voa", "channel_voa", "detectors", "tagger")

    detections = _soft("wanted_detections", "count", (1.0, 1e12))
    max_duration = _soft("longest_s", "s", (1e-3, 1e7))
    keep_tags = switched(
        lambda device: int(device.tagger.keep_tags), lambda device, on: setattr(device.tagger, "keep_tags", bool(on)),
        kind="config",
    )  # fmt: skip
    added_loss = controlled(
        lambda device: device.channel_voa.attenuation.get(),
        lambda device, value: device.move_channel_attenuator(value),
        "dB",
        limits=lambda device: device.channel_voa.attenuation.limits,
        resolution=0.001,
        kind="hinted",
    )
    key_rate = measured(None, "bit/s")
    key_rate_error = measured(None, "bit/s")
    error_rate = measured(None, "1")
    error_rate_low = measured(None, "1")
    error_rate_high = measured(None, "1")
    detection_rate = measured(None, "1/s")
    lab_time = measured(None, "s", precision=6)
    first_tag = measured(None, "1", precision=0)
    tag_count = measured(None, "count", precision=0)
    reached_target = measured(None, "1", precision=0)
    analysis_settings = measured(lambda device: device.settings_text(), None, kind="config")
    assumptions = measured(lambda _device: json.dumps(ASSUMPTIONS, sort_keys=True), None, kind="config")

    def __init__(
        self,
        *,
        name: str,
        devices: Mapping[str, Any],
        transmitter: CowTransmitter,
        protocol: CowAgreement,
        receiver: CowReceiver,
        channel: CowChannel,
        **kwargs: Any,
    ) -> None:
        self.transmitter = transmitter
        self.protocol = protocol
        self.receiver = receiver
        self.channel = channel
        self.code = protocol.code()
        self.settings = cow_analysis_settings(
            self.code, protocol, receiver, channel, transmitter.slot_rate_hz
        )
        self.parts = tuple(devices[part] for part in self.PARTS)
        self.wanted_detections = 1e6
        self.longest_s = 3600.0
        for part in self.PARTS:
            setattr(self, part, devices[part])
        super().__init__("", name=name, **kwargs)

    @property
    def everything(self) -> tuple[Any, ...]:
        """The link and every device of it."""
        return (self, *self.parts)

    @property
    def signal_attenuation_db(self) -> float:
        """What Alice's attenuator must be set to for pulses of mean photon number mu at the fibre's input."""
        return round(ratio_to_db(self.transmitter.mean_photon_number_unattenuated / self.protocol.mu), 3)

    def waveforms(self) -> Waveforms:
        """What Alice's generator must play to send the code."""
        return self.transmitter.waveforms(self.code)

    def light_on(self) -> tuple[tuple[Any, Any], ...]:
        """What must be set to what, in this order, for quantum light to reach Bob."""
        return (
            (self.laser.wavelength, self.transmitter.laser_wavelength_nm),
            (self.laser.power, self.transmitter.laser_power_dbm),
            (self.voa.attenuation, self.signal_attenuation_db),
            (self.awg, self.waveforms()),
            (self.laser.emission, 1),
            (self.channel_voa.shutter_open, 1),
            (self.voa.shutter_open, 1),
        )

    def settings_text(self) -> str:
        """The analysis's settings as JSON, for the file: a replay needs no more than these, the loss and the tags."""
        return json.dumps({"analysis": "coherent-one-way", **self.settings.to_dict()}, sort_keys=True)

    def move_channel_attenuator(self, added_loss_db: float) -> None:
        """Add loss to the channel; only the worker calls this."""
        attenuation = self.channel_voa.attenuation
        attenuation.set(added_loss_db).wait(timeout=self.channel_voa.patience_s)

    def trigger(self) -> TaskStatus:
        """Acquire until the wanted detections are sifted or the longest duration is over, and compute the key rates."""
        allowance_s = WALL_PER_LAB_TIME * self.longest_s + WALL_ALLOWANCE_S
        return self.tagger.submit(self._measure, name=self.name, units="", timeout=allowance_s)

    def pause(self) -> None:
        """Give up a running acquisition; the point is taken again."""
        self.tagger.pause()

    def _measure(self, status: TaskStatus) -> None:
        analysis = CowAnalysis(self.settings)
        acquisition = self.tagger.acquire(
            analysis.add,
            lambda: analysis.n_key / self.wanted_detections,
            max_duration_s=self.longest_s,
            status=status,
        )
        told_loss_db = self.channel.fibre_loss_db + float(self.channel_voa.attenuation.last)
        self._store(analysis.result(acquisition.duration_ps, told_loss_db))
        self.first_tag.store(self.tagger.first_tag.last)
        self.tag_count.store(acquisition.count)
        self.reached_target.store(int(acquisition.complete))
        self.lab_time.store(ps_to_seconds(acquisition.start_ps + acquisition.duration_ps))

    def _store(self, result: CowResult) -> None:
        scalars = result.to_dict()
        for key, value in scalars.items():
            getattr(self, key).store(value)
        for alias, key in ALIASES.items():
            getattr(self, alias).store(scalars[key])
