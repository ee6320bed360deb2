"""What the lab knows of its three-state link over switched cores, apart from addresses and devices."""

from dataclasses import dataclass, field

from drivers.key_distribution.link_settings import Protocol
from qdci_lab.analysis.code import SymbolCode, make_three_state_code
from qdci_lab.errors import ConfigError, Mistake

NO_CORE = 0
"""In place of a core: the patch that leaves the multicore fibre out."""
NOWHERE = -1
"""In place of a core: the quantum channel is not connected."""

EXTERNAL, INTERNAL = 0, 1
"""Sets of detectors: the cryostat's, and the module inside the receiver."""

Route = tuple[int, int]


@dataclass(frozen=True)
class ThreeStateProtocol(Protocol):
    """One-decoy BB84 with the states Z0, Z1 and |+> alone."""

    def code(self) -> SymbolCode:
        """The periodic code of basis, bit and intensity; |+> is the X symbol of bit 0."""
        return make_three_state_code(self.code_length, self.p_signal, self.p_z, self.code_seed)


@dataclass(frozen=True)
class CoreRouting:
    """Ports of the optical switch. Cores are numbered from 1; their lists begin with core 1.

    `core_input_ports` (egress) lead into the cores, `core_output_ports` (ingress) come out of them. The light of
    `quantum_port` goes through one core to `receiver_port`, that of `ethernet_port` through another to
    `ethernet_receiver_port`; `fixed_routes` never change. `noise_ports` feed the cores `noise_cores`. Where the switch
    chooses the detectors, `analyser_ports` (ingress) come from the receiver's analysers, Z0, Z1, X0, X1, and
    `external_detector_ports` and `internal_detector_ports` (egress) lead to either set, in the same order.
    """

    quantum_port: int
    receiver_port: int
    ethernet_port: int
    ethernet_receiver_port: int
    core_input_ports: list[int] = field(default_factory=list)
    core_output_ports: list[int] = field(default_factory=list)
    noise_ports: list[int] = field(default_factory=list)
    noise_cores: list[int] = field(default_factory=list)
    fixed_routes: list[tuple[int, int]] = field(default_factory=list)
    switched_cores: list[int] = field(default_factory=list)
    """The cores that quantum channel and Ethernet share."""
    analyser_ports: list[int] = field(default_factory=list)
    external_detector_ports: list[int] = field(default_factory=list)
    internal_detector_ports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("external_detector_ports", "internal_detector_ports"):
            if len(getattr(self, name)) != len(self.analyser_ports):
                reason = f"one for each of {len(self.analyser_ports)} analyser_ports is needed"
                raise ConfigError([Mistake("lab.toml", f"link.routing.{name}", reason)])

    def detector_routes(self, detector_set: int) -> list[Route]:
        """The connections of the analysers with a set of detectors; none where the switch does not choose."""
        ports = self.internal_detector_ports if detector_set == INTERNAL else self.external_detector_ports
        return list(zip(self.analyser_ports, ports, strict=True))

    def routes(self, core: int, detector_set: int = EXTERNAL) -> list[Route]:
        """All connections with the quantum channel in a core and Ethernet in the other one of `switched_cores`.

        `NO_CORE` patches the quantum channel past the fibre, with Ethernet in the first of them.
        """
        others = [other for other in self.switched_cores if other != core]
        noise = zip(self.noise_ports, self.noise_cores, strict=True)
        return [
            *self._through(core, self.quantum_port, self.receiver_port),
            *(self._through(others[0], self.ethernet_port, self.ethernet_receiver_port) if others else []),
            *((port, self.core_input_ports[noisy - 1]) for port, noisy in noise if noisy != core),
            *self.fixed_routes,
            *self.detector_routes(detector_set),
        ]

    def _through(self, core: int, ingress: int, egress: int) -> list[Route]:
        if core == NO_CORE:
            return [(ingress, egress)]
        return [(ingress, self.core_input_ports[core - 1]), (self.core_output_ports[core - 1], egress)]


@dataclass(frozen=True)
class InternalDrive:
    """What the receiver's own detectors are biased with when they are used."""

    bias_voltage_v: float


@dataclass(frozen=True)
class DetectorDrive:
    """What the nanowires are driven with when they are used, and below which count rate they are taken for warm."""

    bias_currents_ua: list[float]
    trigger_levels_mv: list[float]
    warm_below_hz: float
    """All detectors together, with the quantum light on."""
