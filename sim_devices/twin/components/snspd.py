"""Superconducting nanowire detectors in a cryostat: bias, latching, recovery, and the hour in which helium condenses.

A nanowire carries its bias current until a photon makes a spot of it normal; it is ready again when the current has
come back. Beyond its latching current the spot stays hot, and there are no pulses. A sorption-cooled stage is cold for
as long as its liquid helium lasts, then the helium is condensed again; meanwhile the wires are normal and silent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erf
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval, Len

from qdci_lab.units import PS_PER_S
from sim_devices.twin.component import CLICKS, OPTICAL, Component, Needs, Ports, Signal, optical
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.light import Light
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

INPUTS = ("1", "2", "3", "4")
CYCLE_STEP_S = 60.0
"""The cryostat's cycle is followed in steps of this length."""
Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True)
class SnspdParameters:
    """Nanowires, each with its efficiency and dark rate at the nominal bias, in one cryostat."""

    efficiency: Annotated[tuple[Share, ...], Len(1, 4)]
    """Per detector; also says how many there are."""
    dark_rate_hz: Annotated[tuple[Annotated[float, Ge(0)], ...], Len(1, 4)]
    recovery_ns: Annotated[float, Interval(ge=25, le=1e4)]
    """Dead time after a click: until the bias current has come back."""
    jitter_ps: Annotated[float, Interval(ge=0, le=1000)]
    latency_ns: Annotated[float, Interval(ge=10, le=1000)] = 20.0
    nominal_bias_ua: Annotated[float, Gt(0)] = 20.0
    half_bias_ua: Annotated[float, Ge(0)] = 12.0
    """Bias at which the efficiency is half of what it is on the plateau."""
    bias_width_ua: Annotated[float, Gt(0)] = 3.0
    """Over which it rises (an error function)."""
    dark_decade_ua: Annotated[float, Gt(0)] = 2.0
    """Bias that makes dark counts ten times as many."""
    latching_ua: Annotated[float, Gt(0)] = 24.0
    """From this bias on a wire stays normal."""
    pulse_height_mv: Annotated[float, Gt(0)] = 300.0
    """Pulses cross a trigger level between 0 and this."""
    hold_h: Annotated[float, Ge(0)] = 0.0
    """Time from one condensation to the next; 0 for a cryostat that is always cold."""
    condensation_h: Annotated[float, Gt(0)] = 1.0
    first_condensation_h: Annotated[float, Ge(0)] = 0.0
    """Lab time at which the first one begins."""


class Snspd(Component[SnspdParameters]):
    """Detectors 1 to 4, each on a fibre of its own."""

    Parameters = SnspdParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset({"efficiency", "dark_rate_hz"})
    COUNTED: ClassVar[frozenset[str]] = frozenset(f"count_rate_hz:{port}" for port in INPUTS)

    def __init__(self, parameters: SnspdParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        if len(parameters.dark_rate_hz) != len(parameters.efficiency):
            raise ValueError(
                f"dark_rate_hz: {len(parameters.dark_rate_hz)} rates, but {len(parameters.efficiency)} detectors"
            )
        numbers = INPUTS[: len(parameters.efficiency)]
        self.inputs = dict.fromkeys(numbers, OPTICAL)
        self.outputs = dict.fromkeys(numbers, CLICKS)
        self.defaults = {
            "bias_ua": (0.0,) * len(numbers),
            "trigger_mv": (0.0,) * len(numbers),
            "enabled": False,
        }
        self.drift_step_ps = round(CYCLE_STEP_S * PS_PER_S) if parameters.hold_h > 0.0 else None

    def counted_outputs(self, quantity: str) -> Sequence[str]:
        """The one detector that the quantity names."""
        return (quantity.partition(":")[2],)

    def needs(self, output: str, settings: Settings) -> Needs:
        """Each detector has its own fibre."""
        del settings
        return Needs((output,), (output,))

    def is_cold(self, settings: Settings) -> bool:
        """Whether the wires are superconducting."""
        own = self.parameters
        since_h = settings.step * CYCLE_STEP_S / 3600.0 - own.first_condensation_h
        if own.hold_h == 0.0 or since_h < 0.0:
            return True
        return since_h % (own.hold_h + own.condensation_h) >= own.condensation_h

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The law of each detector's clicks; none of one that is off, warm, latched or not triggered on."""
        return {
            port: self._process(port, optical(inputs, port), settings)
            for port in wanted
            if self._works(int(port) - 1, settings)
        }

    def _works(self, index: int, settings: Settings) -> bool:
        own = self.parameters
        bias_ua = abs(settings.of("bias_ua", tuple)[index])
        level_mv = abs(settings.of("trigger_mv", tuple)[index])
        ready = settings.flag("enabled") and self.is_cold(settings)
        return ready and 0.0 < bias_ua < own.latching_ua and 0.0 < level_mv < own.pulse_height_mv

    def _process(self, port: str, light: Light, settings: Settings) -> ClickProcess:
        own, index, train = self.parameters, int(port) - 1, light.train
        bias_ua = abs(settings.of("bias_ua", tuple)[index])
        efficiency = own.efficiency[index] * min(
            1.0, self._plateau(bias_ua) / self._plateau(own.nominal_bias_ua)
        )
        return ClickProcess(
            stream=self.stream.child(port),
            train=train,
            pulse_hazards=efficiency * train.mean_photons if train is not None else np.zeros(1),
            noise_hz=efficiency * light.continuous_photons_hz,
            dark_hz=own.dark_rate_hz[index] * 10.0 ** ((bias_ua - own.nominal_bias_ua) / own.dark_decade_ua),
            dead_ps=round(own.recovery_ns * 1e3),
            afterpulse_probability=0.0,
            afterpulse_ps=1.0,
            jitter_ps=float(np.hypot(own.jitter_ps, train.duration_ps if train is not None else 0.0)),
            latency_ps=own.latency_ns * 1e3,
            noise_shares=light.continuous_shares,
        )

    def _plateau(self, bias_ua: float) -> float:
        own = self.parameters
        return 0.5 * (1.0 + erf((bias_ua - own.half_bias_ua) / own.bias_width_ua))

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`count_rate_hz:<detector>`: expected clicks per second."""
        kind, _, port = quantity.partition(":")
        if kind != "count_rate_hz" or port not in self.outputs:
            return super().sense(quantity, ports, settings)
        process = ports.output(port)
        return process.click_hz if isinstance(process, ClickProcess) else 0.0
