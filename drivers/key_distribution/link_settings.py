"""What the lab knows of its BB84 link and writes into the configuration, apart from addresses and devices."""

from dataclasses import dataclass, field
from typing import Literal

from qdci_lab.analysis.bb84 import Bb84Settings
from qdci_lab.analysis.code import SymbolCode, make_code
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.analysis.receiver import CrossClick, DoubleClick, Receiver
from qdci_lab.errors import ConfigError, Mistake
from qdci_lab.units import PS_PER_S

Direction = Literal["counter", "co"]
"""Of classical light: against the quantum signal, or with it."""


@dataclass(frozen=True)
class Protocol:
    """One-decoy BB84: intensities, probabilities, security parameters, and the code that is sent.

    `p_signal` and `p_z` are wished for; a code of `code_length` symbols comes as close as whole symbols can.
    """

    mu: float
    nu: float
    p_signal: float
    p_z: float
    code_length: int = 1024
    code_seed: int = 1
    f_ec: float = 1.16
    eps_sec: float = 1e-9
    eps_cor: float = 1e-15
    clip: bool = True

    def code(self) -> SymbolCode:
        """The periodic code of basis, bit and intensity; the same for the same settings."""
        return make_code(self.code_length, self.p_signal, self.p_z, self.code_seed)

    def with_code(self, code: SymbolCode) -> OneDecoyProtocol:
        """The protocol with the fractions that are really in the code."""
        return OneDecoyProtocol.for_code(
            code, self.mu, self.nu, f_ec=self.f_ec, eps_sec=self.eps_sec, eps_cor=self.eps_cor, clip=self.clip
        )


@dataclass(frozen=True)
class ReceiverWiring:
    """Which tagger input each detector is on, and how its clicks are read.

    `gate_width_ps` 0 accepts the whole period. `volts_per_pi` is roughly what a squeezer of the polarization controller
    needs for a retardation of pi.
    """

    inputs: tuple[int, int, int, int] = (1, 2, 3, 4)
    delays_ps: tuple[int, int, int, int] = (0, 0, 0, 0)
    gate_width_ps: float = 0.0
    double_click: DoubleClick = "random-bit"
    cross_click: CrossClick = "discard"
    sync_tags: int = 100_000
    volts_per_pi: float = 1.4

    def receiver(self) -> Receiver:
        """As the analysis wants it."""
        return Receiver(
            inputs=self.inputs,
            delays_ps=self.delays_ps,
            gate_width_ps=self.gate_width_ps or None,
            double_click=self.double_click,
            cross_click=self.cross_click,
        )


@dataclass(frozen=True)
class ClassicalLight:
    """The classical channels: launch power is the power into each core, known from the tap by `tap_to_launch_db`.

    `cores` are those that are lit.
    """

    tap_to_launch_db: float
    amplifier_power_dbm: float
    launch_power_min_dbm: float
    launch_power_max_dbm: float
    cores: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Routing:
    """Ports of the optical switch: where light of the transmitter enters, where it leaves for each fibre core, where it
    comes back from each core, and where it leaves for the receiver. Cores are numbered from 1.

    Where the switch leads the classical light, too, it enters at `classical_ports`, and `far_end_ports` lead into the
    receiver's end of each core. Without them, which cores are lit is decided by the fibres that are plugged.
    """

    transmitter_port: int
    receiver_port: int
    core_input_ports: list[int] = field(default_factory=list)
    core_output_ports: list[int] = field(default_factory=list)
    far_end_ports: list[int] = field(default_factory=list)
    classical_ports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.classical_ports and len(self.far_end_ports) != len(self.core_input_ports):
            reason = f"one for each of {len(self.core_input_ports)} cores is needed for the classical_ports"
            raise ConfigError([Mistake("lab.toml", "link.routing.far_end_ports", reason)])

    def classical_routes(self, quantum_core: int, direction: Direction) -> list[tuple[int, int]]:
        """The connections that lead the classical light into the other cores, in their order, from either end."""
        entries = self.far_end_ports if direction == "counter" else self.core_input_ports
        free = [entry for core, entry in enumerate(entries, 1) if core != quantum_core]
        return list(zip(self.classical_ports, free, strict=False))

    def routes(self, core: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """The two connections that put the link on a core."""
        return (
            (self.transmitter_port, self.core_input_ports[core - 1]),
            (self.core_output_ports[core - 1], self.receiver_port),
        )


@dataclass(frozen=True)
class Probe:
    """Ports of the optical switch for light that characterises the bench, where a testbed has them.

    The probe laser enters at `laser_port`; the power meter is behind `meter_port`; the attenuator is entered by
    `voa_input_port` and comes back at `voa_output_port`. `far_end_ports` lead into the receiver's end of each core, 0
    where that end is not free. `detour_loss_db` is what a path gains in loss when it is led through the attenuator at
    0 dB, `pass_loss_db` the loss of one pass of the switch. `meter_uncertainty_db` is the power meter's standard
    uncertainty, `receiver_loss_db` the loss from `receiver_port` to the detectors, efficiency excluded, with its
    standard uncertainty.
    """

    laser_port: int
    meter_port: int
    voa_input_port: int
    voa_output_port: int
    detour_loss_db: float
    pass_loss_db: float
    meter_uncertainty_db: float
    receiver_loss_db: float
    receiver_loss_uncertainty_db: float
    detector_efficiency: float
    far_end_ports: list[int] = field(default_factory=list)


def analysis_settings(
    code: SymbolCode, protocol: Protocol, wiring: ReceiverWiring, repetition_rate_hz: float
) -> Bb84Settings:
    """All that the analysis of an acquisition depends on."""
    return Bb84Settings(
        code=code,
        protocol=protocol.with_code(code),
        period_ps=PS_PER_S / repetition_rate_hz,
        receiver=wiring.receiver(),
        sync_tags=wiring.sync_tags,
    )
