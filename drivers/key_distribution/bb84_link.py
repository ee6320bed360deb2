"""What BB84 links have in common whatever their states: waveforms of a symbol code, and a lock on the tags to keep."""

import json
from collections.abc import Mapping
from typing import Any

from drivers.awg.waveforms import Waveforms
from drivers.key_distribution.link import QkdLink
from drivers.key_distribution.link_settings import Protocol, ReceiverWiring, analysis_settings
from drivers.key_distribution.transmitter import Transmitter
from qdci_lab.analysis.bb84 import Bb84Analysis
from qdci_lab.analysis.bb84_result import Bb84Result
from qdci_lab.analysis.code import SymbolCode
from qdci_lab.analysis.synchronisation import Synchronisation
from qdci_lab.signals import measured, switched


class Bb84Link(QkdLink):
    """A link whose `detections` are those of the key basis.

    While `reuse_lock` is on, an acquisition begins with the lock that the one before it ended with; `lock_given` says
    which that was, as JSON, and is empty where the tags were searched for one.
    """

    transmitter: Transmitter

    reuse_lock = switched(
        lambda device: int(device.reuses_lock),
        lambda device, on: setattr(device, "reuses_lock", bool(on)),
        kind="config",
    )
    lock_given = measured(None, None)

    def __init__(
        self,
        *,
        transmitter: Transmitter,
        protocol: Protocol,
        receiver: ReceiverWiring,
        expected_sifted_rate_hz: float,
        **kwargs: Any,
    ) -> None:
        self.expected_sifted_rate_hz = expected_sifted_rate_hz
        self.reuses_lock = False
        self._lock_in_use: Synchronisation | None = None
        super().__init__(transmitter=transmitter, protocol=protocol, receiver=receiver, **kwargs)
        self.settings = analysis_settings(self.code, protocol, receiver, transmitter.repetition_rate_hz)

    def waveforms(self, code: SymbolCode | None = None) -> Waveforms:
        """What Alice's generator must play to send the link's code, or another one."""
        drives = self.transmitter.drives
        return Waveforms(
            samples=self.transmitter.sample_codes(self.code if code is None else code),
            sample_rate_hz=self.transmitter.sample_rate_hz,
            amplitudes_v={output: drive.amplitude_v for output, drive in drives.items()},
            offsets_v={output: drive.offset_v for output, drive in drives.items()},
        )

    def expected_s(self, planned: Mapping[str, Any]) -> float:
        """How long an acquisition will take in lab time: by the rate that the configuration expects, undisturbed."""
        detections = float(planned.get(self.detections.name, self.wanted_detections))
        longest_s = float(planned.get(self.max_duration.name, self.longest_s))
        return min(detections / self.expected_sifted_rate_hz, longest_s)

    def begin_analysis(self) -> Bb84Analysis:
        """With the lock in use, if it is to be used again."""
        lock = self._lock_in_use if self.reuses_lock else None
        self.lock_given.store("" if lock is None else json.dumps(lock.to_dict()))
        return Bb84Analysis(self.settings, lock)

    def sifted(self, analysis: Bb84Analysis) -> int:
        """Detections in the key basis."""
        return analysis.n_z

    def evaluate(self, analysis: Bb84Analysis, duration_ps: int) -> Mapping[str, Any]:
        """The protocol's numbers; the lock is kept."""
        result = analysis.result(duration_ps)
        self._lock_in_use = analysis.synchronisation
        return self.scalars(result)

    def scalars(self, result: Bb84Result) -> Mapping[str, Any]:
        """The numbers of the protocol: those of a BB84 acquisition by default."""
        return result.to_dict()
