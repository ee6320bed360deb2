"""A clock delivered over light: put on a carrier, recovered from it, and taken off it again.

Reference: Ji et al., "Quantum-secured optical interconnects", sections 2.2 and 2.4; shot and thermal noise of a
photodiode with a transimpedance amplifier, and injection locking, as in any textbook (Liu and Slavik, J. Lightwave
Technol. 38, 43, 2020, for the latter). A carrier's envelope is P (1 + m cos(2 pi f t)); the clock's level against the
carrier is that of its two sidebands, m^2 / 8 for small m.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, hypot, log, pi, sqrt
from typing import Annotated

from annotated_types import Ge, Gt, Interval

from qdci_lab.units import (
    PS_PER_S,
    SPEED_OF_LIGHT_M_PER_S,
    db_to_ratio,
    dbm_to_watt,
    ratio_to_db,
)
from sim_devices.twin.clock_signal import ClockSignal
from sim_devices.twin.component import CLOCK, OPTICAL, Component, Ports, Signal, clock, optical
from sim_devices.twin.light import Light, Line, Tone
from sim_devices.twin.timeline import Settings

ELECTRON_C = 1.602176634e-19


@dataclass(frozen=True)
class ClockModulatorParameters:
    """An intensity modulator that a clock drives about its half-power point."""

    modulation_index: Annotated[float, Interval(gt=0, le=1)]
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0
    """The bias's 3 dB included."""


class ClockModulator(Component[ClockModulatorParameters]):
    """Puts a clock on every carrier that passes; without one the carriers pass as they are."""

    Parameters = ClockModulatorParameters
    inputs: Mapping[str, str] = {"in": OPTICAL, "clock": CLOCK}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The modulated light."""
        del settings, wanted
        own, driving = self.parameters, clock(inputs, "clock")
        light = optical(inputs, "in").scaled(db_to_ratio(-own.insertion_loss_db))
        if driving is None:
            return {"out": light}
        tone = Tone(driving, own.modulation_index)
        return {"out": replace(light, lines=tuple(replace(line, tone=tone) for line in light.lines))}


@dataclass(frozen=True)
class ClockReceiverParameters:
    """Photodiode with transimpedance amplifier, limiter and frequency divider, and the amplifier of its output."""

    photodiode_bandwidth_hz: Annotated[float, Gt(0)]
    """Of photodiode and transimpedance amplifier, for the clock itself."""
    amplifier_bandwidth_hz: Annotated[float, Gt(0)]
    """Of the amplifier that gives the divided pulses out."""
    divisor: Annotated[int, Interval(ge=1, le=100_000)]
    pulse_fwhm_ps: Annotated[float, Gt(0)]
    """At the divider."""
    output_v: Annotated[float, Gt(0)] = 0.5
    responsivity_a_per_w: Annotated[float, Interval(gt=0, le=2)] = 0.9
    transimpedance_ohm: Annotated[float, Gt(0)] = 1000.0
    thermal_noise_a_per_sqrt_hz: Annotated[float, Ge(0)] = 2e-11
    minimum_tone_v: Annotated[float, Ge(0)] = 0.001
    """Amplitude of the clock at the limiter below which the divider stands still."""
    jitter_ps: Annotated[float, Interval(ge=0, le=1000)] = 0.0
    """Of limiter and divider."""
    output_noise_v: Annotated[float, Ge(0)] = 0.0
    insertion_loss_db: Annotated[float, Interval(ge=0, le=60)] = 0.0


class ClockReceiver(Component[ClockReceiverParameters]):
    """The clock of the strongest modulated carrier as divided pulses, with the jitter that noise at the limiter makes.

    sigma_t = sigma_V / (dV/dt) at the tone's zero crossing, with the shot noise of all light and thermal noise.
    """

    Parameters = ClockReceiverParameters
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = dict.fromkeys(("1", "2", "3", "4"), CLOCK)

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The recovered trigger; nothing while the light is too weak."""
        del settings
        own = self.parameters
        light = optical(inputs, "in").scaled(db_to_ratio(-own.insertion_loss_db))
        modulated = [line for line in light.lines if line.tone is not None]
        if not modulated:
            return {}
        line = max(modulated, key=_tone_w)
        assert line.tone is not None
        carried = line.tone.clock
        tone_v = self._tone_v(line)
        if tone_v < own.minimum_tone_v:
            return {}
        slope_v_per_ps = 2.0 * pi * carried.frequency_hz / PS_PER_S * tone_v
        divided = ClockSignal(
            time_base=carried.time_base.delayed(line.tone.delay_ps),
            frequency_hz=carried.frequency_hz / own.divisor,
            amplitude_v=own.output_v,
            pulse_fwhm_ps=own.pulse_fwhm_ps,
            jitter_ps=hypot(carried.jitter_ps, own.jitter_ps, self._noise_v(light.power_w) / slope_v_per_ps),
            noise_v=own.output_noise_v,
        )
        return dict.fromkeys(wanted, divided.after(bandwidth_hz=own.amplifier_bandwidth_hz))

    def _tone_v(self, line: Line) -> float:
        """Amplitude of the clock behind the transimpedance amplifier, a Gaussian low pass."""
        own = self.parameters
        assert line.tone is not None
        share = line.tone.clock.frequency_hz / own.photodiode_bandwidth_hz
        return (
            own.responsivity_a_per_w
            * _tone_w(line)
            * own.transimpedance_ohm
            * exp(-0.5 * log(2.0) * share**2)
        )

    def _noise_v(self, power_w: float) -> float:
        """Standard deviation of the voltage there: 2 q R P B of shot noise, and thermal noise."""
        own = self.parameters
        shot = 2.0 * ELECTRON_C * own.responsivity_a_per_w * power_w
        density = shot + own.thermal_noise_a_per_sqrt_hz**2
        return own.transimpedance_ohm * sqrt(density * own.photodiode_bandwidth_hz)

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`power_w`: light on the photodiode."""
        if quantity == "power_w":
            loss = db_to_ratio(-self.parameters.insertion_loss_db)
            return optical({"in": ports.input("in")}, "in").power_w * loss
        return super().sense(quantity, ports, settings)


def _tone_w(line: Line) -> float:
    return line.power_w * line.tone.modulation_index if line.tone is not None else 0.0


@dataclass(frozen=True)
class InjectionLockedLaserParameters:
    """A laser whose emission follows the light that is injected, as long as that is near enough."""

    output_power_dbm: float
    wavelength_nm: Annotated[float, Gt(0)]
    """When nothing is injected."""
    corner_hz: Annotated[float, Gt(0)]
    """Of the low pass by which it follows the envelope of the injected light."""
    coupling_hz: Annotated[float, Gt(0)] = 5e10
    """kappa = c / (2 n L) of the cavity, in cycles."""
    linewidth_enhancement: Annotated[float, Interval(ge=0, le=20)] = 3.0
    minimum_injection_dbm: float = -40.0
    """The least that locks at all."""


class InjectionLockedLaser(Component[InjectionLockedLaserParameters]):
    """Gives out the injected carrier at its own power, its clock weaker by 1 / (1 + (f / f_c)^2) in power.

    It locks within -kappa sqrt(1 + a_H^2) sqrt(P_inj / P) < detuning < kappa sqrt(P_inj / P), kappa in cycles as the
    detuning is; beyond, it shines as it does by itself.
    """

    Parameters = InjectionLockedLaserParameters
    inputs: Mapping[str, str] = {"in": OPTICAL}
    outputs: Mapping[str, str] = {"out": OPTICAL}

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """Light of the laser, with no pulses and no noise of the injected light."""
        del settings, wanted
        own = self.parameters
        power_w = dbm_to_watt(own.output_power_dbm)
        lines = optical(inputs, "in").lines
        master = max(lines, key=lambda line: line.power_w, default=None)
        if master is None or not self._locks(master, power_w):
            return {"out": Light(lines=(Line(own.wavelength_nm * 1e-9, power_w),))}
        return {"out": Light(lines=(replace(master, power_w=power_w, tone=self._weakened(master.tone)),))}

    def _locks(self, master: Line, power_w: float) -> bool:
        own = self.parameters
        if master.power_w < dbm_to_watt(own.minimum_injection_dbm):
            return False
        detuning_hz = SPEED_OF_LIGHT_M_PER_S / master.wavelength_m
        detuning_hz -= SPEED_OF_LIGHT_M_PER_S / (own.wavelength_nm * 1e-9)
        half_hz = own.coupling_hz * sqrt(master.power_w / power_w)
        return -half_hz * hypot(1.0, own.linewidth_enhancement) < detuning_hz < half_hz

    def _weakened(self, tone: Tone | None) -> Tone | None:
        if tone is None:
            return None
        share = tone.clock.frequency_hz / self.parameters.corner_hz
        return replace(tone, modulation_index=tone.modulation_index / hypot(1.0, share))

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`power_w`; `injected_clock_db` and `clock_db`: the clock against the carrier before and behind the laser."""
        if quantity == "power_w":
            return optical({"out": ports.output("out")}, "out").power_w
        if quantity in ("clock_db", "injected_clock_db"):
            port = ports.output("out") if quantity == "clock_db" else ports.input("in")
            return _clock_db(optical({"": port}, ""))
        return super().sense(quantity, ports, settings)


def _clock_db(light: Light) -> float:
    """Level of both sidebands against the carrier of the strongest line; minus infinity without a clock."""
    strongest = max(light.lines, key=lambda line: line.power_w, default=None)
    if strongest is None or strongest.tone is None:
        return float("-inf")
    return ratio_to_db(strongest.tone.modulation_index**2 / 8.0)
