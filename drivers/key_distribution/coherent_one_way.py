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
from drivers.key_distribution.link import QkdLink, result_signals
from qdci_lab.analysis.cow import ASSUMPTIONS
from qdci_lab.analysis.cow_result import COW_UNITS, CowReceiver
from qdci_lab.analysis.cow_tags import CowAnalysis
from qdci_lab.signals import controlled, measured

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

CowResults: Any = create_device_from_components(
    "CowResults",
    docstring="What a coherent-one-way acquisition comes to, as signals; keys and units are the analysis's own.",
    base_class=QkdLink,
    remark=measured(None, None),
    **result_signals(COW_UNITS, hinted=HINTED, aliases=ALIASES),
)


class CowLink(CowResults):
    """Alice, the fibre and Bob as one device: `trigger` acquires until `detections` bits are sifted.

    `added_loss` is what the channel's attenuator adds to the fibre. `key_rate`, `error_rate` and `detection_rate` are
    what links of every protocol have: here the rate against restricted collective attacks, the QBER of the data line,
    and all clicks of its detector. `assumptions` says what each key rate stands on. An acquisition without a lock is
    no failure: its key rate is zero, and `remark` says why. Settings are the tables of the link in the configuration.
    """

    MODEL = "coherent-one-way link"
    ANALYSIS = "coherent-one-way"
    ALIASES: ClassVar[Mapping[str, str]] = ALIASES
    KEY_RATE_MEANS: ClassVar[str] = "coherent one-way, restricted collective attacks only"
    PARTS: ClassVar[tuple[str, ...]] = ("awg", "laser", "voa", "channel_voa", "detectors", "tagger")

    added_loss = controlled(
        lambda device: device.channel_voa.attenuation.get(),
        lambda device, value: device.move_channel_attenuator(value),
        "dB",
        limits=lambda device: device.channel_voa.attenuation.limits,
        resolution=lambda device: device.channel_voa.attenuation.quantity.resolution,
        kind="hinted",
    )
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
        expected_sifted_rate_hz: float = 1e4,
        **kwargs: Any,
    ) -> None:
        self.channel = channel
        self.expected_sifted_rate_hz = expected_sifted_rate_hz
        super().__init__(
            name=name,
            devices=devices,
            transmitter=transmitter,
            protocol=protocol,
            receiver=receiver,
            **kwargs,
        )
        self.settings = cow_analysis_settings(
            self.code, protocol, receiver, channel, transmitter.slot_rate_hz
        )

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
            *self.channel_voa.passing(),
            *self.voa.passing(),
        )

    def move_channel_attenuator(self, added_loss_db: float) -> None:
        """Add loss to the channel; only the worker calls this."""
        attenuation = self.channel_voa.attenuation
        attenuation.set(added_loss_db).wait(timeout=self.channel_voa.patience_s)

    def expected_s(self, planned: Mapping[str, Any]) -> float:
        """How long an acquisition will take in lab time: by the rate that is expected at no added loss."""
        detections = float(planned.get(self.detections.name, self.wanted_detections))
        longest_s = float(planned.get(self.max_duration.name, self.longest_s))
        return min(detections / self.expected_sifted_rate_hz, longest_s)

    def begin_analysis(self) -> CowAnalysis:
        """A lock is searched for in every acquisition: the parties' clocks drift apart meanwhile."""
        return CowAnalysis(self.settings)

    def sifted(self, analysis: CowAnalysis) -> int:
        """Bits of the data line."""
        return analysis.n_key

    def evaluate(self, analysis: CowAnalysis, duration_ps: int) -> Mapping[str, Any]:
        """The cut-off goes by the loss that the lab knows of."""
        told_loss_db = self.channel.fibre_loss_db + float(self.channel_voa.attenuation.last)
        return analysis.result(duration_ps, told_loss_db).to_dict()
