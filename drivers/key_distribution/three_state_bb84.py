"""A three-state BB84 link over switched fibre cores, built from the lab's instruments, measuring key from time tags.

Source of the experiment: Clason et al., Results and appendix "QKD system". Their transmitter and receiver are one
commercial product without a public interface; here a waveform generator, modulators, a polarization controller and a
time tagger do openly what it does inside.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from ophyd.device import create_device_from_components
from ophyd.utils import LimitError

from drivers.awg.waveforms import Waveforms
from drivers.key_distribution.link_settings import ReceiverWiring, analysis_settings
from drivers.key_distribution.three_state_settings import (
    NO_CORE,
    NOWHERE,
    CoreRouting,
    DetectorDrive,
    ThreeStateProtocol,
)
from drivers.key_distribution.transmitter import Transmitter
from qdci_lab.analysis.bb84 import Bb84Analysis
from qdci_lab.analysis.synchronisation import Synchronisation
from qdci_lab.analysis.three_state_result import UNITS, three_state_scalars
from qdci_lab.device import LabDevice
from qdci_lab.signals import TaskStatus, controlled, measured, switched
from qdci_lab.units import ps_to_seconds, ratio_to_db

HINTED = ("n_z", "qber_z", "qber_x", "skr_rusca_2018", "skr_virtual")
# On the bench an acquisition lasts as long as it is asked to; a simulated one may take longer than its lab time.
WALL_PER_LAB_TIME, WALL_ALLOWANCE_S = 2.0, 180.0

Results: Any = create_device_from_components(
    "Results",
    docstring="What a three-state BB84 acquisition comes to, as signals; keys and units are the analysis's own.",
    base_class=LabDevice,
    **{
        key: measured(None, units, kind="hinted" if key in HINTED else "normal")
        for key, units in UNITS.items()
    },
)


def _soft(attribute: str, units: str, limits: tuple[float, float]) -> Any:
    """A setting that lives in this device, not in an instrument."""
    return controlled(
        lambda device: getattr(device, attribute),
        lambda device, value: setattr(device, attribute, float(value)),
        units, limits=limits, resolution=0.0, kind="config",
    )  # fmt: skip


class ThreeStateBb84Link(Results):
    """Alice, a town-to-town fibre, a core and Bob as one device: `trigger` acquires one post-processing block.

    A block ends when `detections` key-basis detections are sifted. Setting `core` swaps the quantum channel and the
    Ethernet channel by the optical switch; core 0 is the patch past the multicore fibre. The receiver may be far from
    the transmitter: there is no common clock, and a lock is found in the tags and kept while `reuse_lock` is on.
    """

    MODEL = "three-state BB84 link"
    PARTS: ClassVar[tuple[str, ...]] = (
        "awg", "voa", "switch", "polarization_controller", "detectors", "tagger",
    )  # fmt: skip
    OPTIONAL_PARTS: ClassVar[tuple[str, ...]] = ("noise_source", "power_meter")
    """Only where light is fed into other cores; None on a bench without."""

    detections = _soft("wanted_detections", "count", (1.0, 1e12))
    max_duration = _soft("longest_s", "s", (1e-3, 1e7))
    keep_tags = switched(
        lambda device: int(device.tagger.keep_tags), lambda device, on: setattr(device.tagger, "keep_tags", bool(on)),
        kind="config",
    )  # fmt: skip
    reuse_lock = switched(
        lambda device: int(device.reuses_lock),
        lambda device, on: setattr(device, "reuses_lock", bool(on)),
        kind="config",
    )
    core = controlled(
        lambda device: device.find_core(),
        lambda device, core: device.put_on_core(core),
        "1",
        precision=0,
        limits=lambda device: (0.0, float(len(device.routing.core_input_ports))),
        resolution=1,
        kind="hinted",
        check=lambda device, core: device.check_core(core),
    )
    now = measured(lambda device: ps_to_seconds(device.tagger.clock.now_ps()), "s", precision=6, polled=False)
    lock_given = measured(None, None)
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
        transmitter: Transmitter,
        protocol: ThreeStateProtocol,
        receiver: ReceiverWiring,
        detector_drive: DetectorDrive,
        routing: CoreRouting,
        expected_sifted_rate_hz: float = 4e3,
        **kwargs: Any,
    ) -> None:
        self.transmitter = transmitter
        self.protocol = protocol
        self.receiver = receiver
        self.detector_drive = detector_drive
        self.routing = routing
        self.expected_sifted_rate_hz = expected_sifted_rate_hz
        self.code = protocol.code()
        self.settings = analysis_settings(self.code, protocol, receiver, transmitter.repetition_rate_hz)
        used = [*self.PARTS, *(part for part in self.OPTIONAL_PARTS if part in devices)]
        self.parts = tuple(devices[part] for part in used)
        self.wanted_detections = 1e5
        self.longest_s = 3600.0
        self.reuses_lock = False
        self._lock_in_use: Synchronisation | None = None
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

    def waveforms(self) -> Waveforms:
        """What Alice's generator must play to send the code."""
        drives = self.transmitter.drives
        return Waveforms(
            samples=self.transmitter.sample_codes(self.code),
            sample_rate_hz=self.transmitter.sample_rate_hz,
            amplitudes_v={output: drive.amplitude_v for output, drive in drives.items()},
            offsets_v={output: drive.offset_v for output, drive in drives.items()},
        )

    def check_core(self, core: float) -> None:
        """LimitError for a core that the optical switch does not lead to, or that the noise is fed into."""
        cores = len(self.routing.core_input_ports)
        if core != int(core) or not NO_CORE <= core <= cores:
            raise LimitError(f"{self.switch.label}: core {core:g} is outside the bounds of 0 to {cores}")
        if core in self.routing.noise_cores:
            raise LimitError(f"{self.switch.label}: core {core:g} carries the noise source's light")

    def connections(self, core: int) -> tuple[int, ...]:
        """The optical switch's connections with the quantum channel in a core (LimitError); all others are dropped."""
        self.check_core(core)
        value: tuple[int, ...] = (0,) * len(self.switch.connections.last)
        for ingress, egress in self.routing.routes(int(core)):
            value = self.switch.with_route(ingress, egress, connections=value)
        return value

    def put_on_core(self, core: float) -> None:
        """Swap quantum channel and Ethernet; the lock on the tags is given up. Only the worker calls this."""
        self._lock_in_use = None
        wanted = self.connections(int(core))
        self.switch.connections.set(wanted).wait(timeout=self.switch.patience_s)

    def find_core(self) -> float:
        """The core that the switch leads the quantum channel through, 0 for the patch, -1 if it leads nowhere."""
        present = self.switch.connections.last
        egress = present[self.routing.quantum_port - 1]
        if egress == self.routing.receiver_port:
            return float(NO_CORE)
        if egress not in self.routing.core_input_ports:
            return float(NOWHERE)
        return float(self.routing.core_input_ports.index(egress) + 1)

    def expected_s(self, planned: Mapping[str, Any]) -> float:
        """How long an acquisition will take in lab time: by the rate that the configuration expects."""
        detections = float(planned.get(self.detections.name, self.wanted_detections))
        longest_s = float(planned.get(self.max_duration.name, self.longest_s))
        return min(detections / self.expected_sifted_rate_hz, longest_s)

    def settings_text(self) -> str:
        """The analysis's settings as JSON, for the file: a replay needs no more than these and the tags."""
        return json.dumps({"analysis": "three-state", **self.settings.to_dict()}, sort_keys=True)

    def trigger(self) -> TaskStatus:
        """Acquire until the wanted detections are sifted or the longest duration is over, and compute the key rate."""
        allowance_s = WALL_PER_LAB_TIME * self.longest_s + WALL_ALLOWANCE_S
        return self.tagger.submit(self._measure, name=self.name, units="", timeout=allowance_s)

    def pause(self) -> None:
        """Give up a running acquisition; the point is taken again."""
        self.tagger.pause()

    def _measure(self, status: TaskStatus) -> None:
        lock = self._lock_in_use if self.reuses_lock else None
        self.lock_given.store("" if lock is None else json.dumps(lock.to_dict()))
        analysis = Bb84Analysis(self.settings, lock)
        acquisition = self.tagger.acquire(
            analysis.add,
            lambda: analysis.n_z / self.wanted_detections,
            max_duration_s=self.longest_s,
            status=status,
        )
        self.first_tag.store(self.tagger.first_tag.last)
        self.tag_count.store(acquisition.count)
        self.reached_target.store(int(acquisition.complete))
        self.lab_time.store(ps_to_seconds(acquisition.start_ps + acquisition.duration_ps))
        result = analysis.result(acquisition.duration_ps)
        self._lock_in_use = analysis.synchronisation
        scalars = three_state_scalars(result, self.settings.protocol, self.settings.receiver)
        for key, value in scalars.items():
            getattr(self, key).store(value)
