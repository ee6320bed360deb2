"""A three-state BB84 link over switched fibre cores, built from the lab's instruments, measuring key from time tags.

Source of the experiment: Clason et al., Results and appendix "QKD system". Their transmitter and receiver are one
commercial product without a public interface; here a waveform generator, modulators, a polarization controller and a
time tagger do openly what it does inside.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from ophyd.device import create_device_from_components
from ophyd.utils import LimitError

from drivers.key_distribution.bb84_link import Bb84Link
from drivers.key_distribution.link import result_signals
from drivers.key_distribution.link_settings import ReceiverWiring
from drivers.key_distribution.three_state_settings import (
    EXTERNAL,
    INTERNAL,
    NO_CORE,
    NOWHERE,
    CoreRouting,
    DetectorDrive,
    InternalDrive,
    ThreeStateProtocol,
)
from drivers.key_distribution.transmitter import Transmitter
from qdci_lab.analysis.bb84_result import Bb84Result
from qdci_lab.analysis.three_state_result import UNITS, three_state_scalars
from qdci_lab.signals import controlled, measured
from qdci_lab.units import ps_to_seconds

HINTED = ("n_z", "qber_z", "qber_x", "skr_rusca_2018", "skr_virtual")

Results: Any = create_device_from_components(
    "Results",
    docstring="What a three-state BB84 acquisition comes to, as signals; keys and units are the analysis's own.",
    base_class=Bb84Link,
    **result_signals(UNITS, hinted=HINTED),
)


class ThreeStateBb84Link(Results):
    """Alice, a town-to-town fibre, a core and Bob as one device: `trigger` acquires one post-processing block.

    A block ends when `detections` key-basis detections are sifted. Setting `core` swaps the quantum channel and the
    Ethernet channel by the optical switch; core 0 is the patch past the multicore fibre. The receiver may be far from
    the transmitter: there is no common clock, and a lock is found in the tags and kept while `reuse_lock` is on.
    """

    MODEL = "three-state BB84 link"
    ANALYSIS = "three-state"
    PARTS: ClassVar[tuple[str, ...]] = (
        "awg", "voa", "switch", "polarization_controller", "detectors", "tagger",
    )  # fmt: skip
    OPTIONAL_PARTS: ClassVar[tuple[str, ...]] = ("noise_source", "power_meter", "internal_detectors")
    """Where light is fed into other cores, and where there is a second set of detectors; None on a bench without."""

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
    detector_set = controlled(
        lambda device: device.find_detector_set(),
        lambda device, chosen: device.use_detector_set(chosen),
        "1",
        precision=0,
        limits=(EXTERNAL, INTERNAL),
        resolution=1,
        kind="config",
        check=lambda device, chosen: device.check_detector_set(chosen),
    )
    now = measured(lambda device: ps_to_seconds(device.tagger.clock.now_ps()), "s", precision=6, polled=False)

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
        internal_drive: InternalDrive | None = None,
        expected_sifted_rate_hz: float = 4e3,
        **kwargs: Any,
    ) -> None:
        self.detector_drive = detector_drive
        self.internal_drive = internal_drive
        self.routing = routing
        super().__init__(
            name=name, devices=devices, transmitter=transmitter, protocol=protocol, receiver=receiver,
            expected_sifted_rate_hz=expected_sifted_rate_hz, **kwargs,
        )  # fmt: skip
        self.wanted_detections = 1e5

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
        for ingress, egress in self.routing.routes(int(core), int(self.find_detector_set())):
            value = self.switch.with_route(ingress, egress, connections=value)
        return value

    def put_on_core(self, core: float) -> None:
        """Swap quantum channel and Ethernet; the lock on the tags is given up. Only the worker calls this."""
        self._lock_in_use = None
        wanted = self.connections(int(core))
        self.switch.connections.set(wanted).wait(timeout=self.switch.patience_s)

    def check_detector_set(self, chosen: float) -> None:
        """LimitError for a set of detectors that this bench has not got."""
        if chosen not in (EXTERNAL, INTERNAL):
            raise LimitError(f"{self.label}: detector set {chosen:g} is neither {EXTERNAL} nor {INTERNAL}")
        if chosen == INTERNAL and (self.internal_detectors is None or self.internal_drive is None):
            raise LimitError(
                f"{self.label}: this bench has no second set of detectors (in lab.toml: internal_detectors of "
                "[link.devices], [link.internal_drive], and the detectors' ports of [link.routing])"
            )

    def use_detector_set(self, chosen: float) -> None:
        """Lead the analysers' light to a set of detectors; the lock is given up. Only the worker calls this."""
        self._lock_in_use = None
        value = self.switch.connections.last
        for ingress, egress in self.routing.detector_routes(int(chosen)):
            value = self.switch.with_route(ingress, egress, connections=value)
        self.switch.connections.set(value).wait(timeout=self.switch.patience_s)

    def find_detector_set(self) -> float:
        """The set of detectors that the switch leads to; the external one unless it is the other."""
        present = self.switch.connections.last
        internal = self.routing.detector_routes(INTERNAL)
        chosen = bool(internal) and all(present[ingress - 1] == egress for ingress, egress in internal)
        return float(INTERNAL if chosen else EXTERNAL)

    def find_core(self) -> float:
        """The core that the switch leads the quantum channel through, 0 for the patch, -1 if it leads nowhere."""
        present = self.switch.connections.last
        egress = present[self.routing.quantum_port - 1]
        if egress == self.routing.receiver_port:
            return float(NO_CORE)
        if egress not in self.routing.core_input_ports:
            return float(NOWHERE)
        return float(self.routing.core_input_ports.index(egress) + 1)

    def scalars(self, result: Bb84Result) -> Mapping[str, Any]:
        """Those of a BB84 acquisition, and the key by the other reading of the phase error."""
        return three_state_scalars(result, self.settings.protocol, self.settings.receiver)
