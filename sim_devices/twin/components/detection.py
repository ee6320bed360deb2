"""From light to time tags: arrays of single-photon detectors, and the time tagger behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Interval, Len

from sim_devices.twin.clock_signal import FLICKER_LONGEST_S, FLICKER_SHORTEST_S, LAB_TIME, TimeBase
from sim_devices.twin.component import CLICKS, CLOCK, OPTICAL, Component, Needs, Ports, Signal, optical
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.light import Light
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from sim_devices.twin.wander import Wander

Share = Annotated[float, Interval(ge=0, le=1)]
INPUTS = ("1", "2", "3", "4")


@dataclass(frozen=True)
class SinglePhotonDetectorsParameters:
    """Alike detectors. The bounds keep output pulses in the order of the avalanches."""

    number: Annotated[int, Interval(ge=1, le=4)]
    efficiency: Share
    """At nominal bias."""
    dark_rate_hz: Annotated[float, Ge(0)]
    """Each, at nominal bias and temperature."""
    dead_time_ns: Annotated[float, Interval(ge=25, le=1e6)]
    afterpulse_probability: Annotated[float, Interval(ge=0, le=0.5)]
    afterpulse_time_us: Annotated[float, Interval(ge=0.01, le=2)]
    jitter_ps: Annotated[float, Interval(ge=0, le=1000)]
    latency_ns: Annotated[float, Interval(ge=10, le=1000)] = 20.0
    nominal_bias_v: float = 1.0
    breakdown_bias_v: float = 0.0
    nominal_temperature_c: float = -50.0
    dark_doubling_c: Annotated[float, Gt(0)] = 8.0
    """Warming that doubles the dark rate."""
    biased_at_start: bool = True
    """Whether the nominal bias is on before an instrument has spoken; without it there are no clicks."""
    pulse_height_v: Annotated[float, Gt(0)] = 0.2
    """Avalanche pulses do not cross a discriminator threshold above this."""


class SinglePhotonDetectors(Component[SinglePhotonDetectorsParameters]):
    """Free-running; efficiency and dark rate grow linearly with the bias above breakdown, to the nominal ones."""

    Parameters = SinglePhotonDetectorsParameters
    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset(
        {"efficiency", "dark_rate_hz", "afterpulse_probability", "breakdown_bias_v"}
    )
    COUNTED: ClassVar[frozenset[str]] = frozenset({"count_rate_hz"})

    def __init__(self, parameters: SinglePhotonDetectorsParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        numbers = INPUTS[: parameters.number]
        self.inputs = dict.fromkeys(numbers, OPTICAL)
        self.outputs = dict.fromkeys(numbers, CLICKS)
        self.defaults = {
            "bias_v": parameters.nominal_bias_v if parameters.biased_at_start else 0.0,
            "threshold_v": parameters.pulse_height_v / 2.0,
            "temperature_c": parameters.nominal_temperature_c,
            "enabled": True,
        }

    def needs(self, output: str, settings: Settings) -> Needs:
        """Each detector has its own fibre."""
        del settings
        return Needs((output,), (output,))

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The law of each detector's clicks; none of one that is disabled."""
        if not settings.flag("enabled") or settings.number("threshold_v") > self.parameters.pulse_height_v:
            return {}
        return {port: self._process(port, optical(inputs, port), settings) for port in wanted}

    def _process(self, port: str, light: Light, settings: Settings) -> ClickProcess:
        own = self.parameters
        overvoltage = self._overvoltage(settings)
        efficiency = min(1.0, own.efficiency * overvoltage)
        warming = (settings.number("temperature_c") - own.nominal_temperature_c) / own.dark_doubling_c
        train = light.train
        return ClickProcess(
            stream=self.stream.child(port),
            train=train,
            pulse_hazards=efficiency * train.mean_photons if train is not None else np.zeros(1),
            noise_hz=efficiency * light.continuous_photons_hz,
            dark_hz=own.dark_rate_hz * overvoltage * 2.0**warming,
            dead_ps=round(own.dead_time_ns * 1e3),
            afterpulse_probability=own.afterpulse_probability,
            afterpulse_ps=own.afterpulse_time_us * 1e6,
            jitter_ps=float(np.hypot(own.jitter_ps, train.duration_ps))
            if train is not None
            else own.jitter_ps,
            latency_ps=own.latency_ns * 1e3,
            noise_shares=light.continuous_shares,
        )

    def _overvoltage(self, settings: Settings) -> float:
        """Bias beyond breakdown as a share of the nominal one, not below zero."""
        own = self.parameters
        nominal_v = own.nominal_bias_v - own.breakdown_bias_v
        return max(0.0, (settings.number("bias_v") - own.breakdown_bias_v) / nominal_v)

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """`count_rate_hz`: expected clicks per second of the whole array."""
        if quantity != "count_rate_hz":
            return super().sense(quantity, ports, settings)
        processes = [ports.output(port) for port in self.outputs]
        return sum(process.click_hz for process in processes if isinstance(process, ClickProcess))


@dataclass(frozen=True)
class PulseCombinerParameters:
    """Two sets of detectors on one set of cables."""

    number: Annotated[int, Interval(ge=1, le=4)] = 4


class PulseCombiner(Component[PulseCombinerParameters]):
    """Passive: pulses of a1, a2, ... and of b1, b2, ... leave at 1, 2, ...

    Meant for one set at a time. Where both click, the clicks of the fainter one come as further dark counts of the
    other, so that its dead time covers them too.
    """

    Parameters = PulseCombinerParameters

    def __init__(self, parameters: PulseCombinerParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        numbers = INPUTS[: parameters.number]
        self.inputs = {f"{side}{number}": CLICKS for side in "ab" for number in numbers}
        self.outputs = dict.fromkeys(numbers, CLICKS)

    def needs(self, output: str, settings: Settings) -> Needs:
        """The two detectors on this cable."""
        del settings
        return Needs((f"a{output}", f"b{output}"), (output,))

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The law of the one that clicks, unchanged, or of both together."""
        del settings
        return {port: _combined(inputs.get(f"a{port}"), inputs.get(f"b{port}")) for port in wanted}


def _combined(*signals: Signal) -> ClickProcess | None:
    clicking = [one for one in signals if isinstance(one, ClickProcess) and one.photoelectron_hz > 0.0]
    if len(clicking) < 2:
        return clicking[0] if clicking else None
    fainter, brighter = sorted(clicking, key=lambda one: one.photoelectron_hz)
    return replace(brighter, dark_hz=brighter.dark_hz + fainter.click_hz)


@dataclass(frozen=True)
class TimeTaggerParameters:
    """Inputs of a time tagger with the cables that lead to them."""

    channel_delays_ps: Annotated[tuple[Annotated[float, Interval(ge=1000, le=1e7)], ...], Len(1, 4)]
    """From a detector's output to the tag, one per input; also says how many inputs there are."""
    jitter_ps: Annotated[float, Interval(ge=0, le=100)] = 0.0
    dead_time_ns: Annotated[float, Interval(ge=0, le=1e6)] = 0.0
    oscillator_offset_ppm: Annotated[float, Interval(ge=-1000, le=1000)] = 0.0
    """By how much its own oscillator runs faster than lab time at the origin of lab time."""
    oscillator_drift_ppb_per_s: Annotated[float, Interval(ge=-1000, le=1000)] = 0.0
    oscillator_flicker_ps: Annotated[float, Interval(ge=0, le=1e6)] = 0.0
    """Phase noise like 1/f with periods of 0.1 to 100 s, standard deviation."""


class TimeTagger(Component[TimeTaggerParameters]):
    """Tags the clicks at its inputs 1 to 4 in picoseconds; tags are read through `Twin.tagger`.

    Time is that of the clock at the input `clock` while there is one and `external_clock` is set, else that of its own
    oscillator, which by itself is as good as lab time. Where the clock changes, the time goes on without a step.
    """

    Parameters = TimeTaggerParameters
    DEFAULTS: ClassVar[Mapping[str, object]] = {"input_on": True, "external_clock": True}
    outputs: Mapping[str, str] = {}

    def __init__(self, parameters: TimeTaggerParameters, stream: KeyedStream) -> None:
        super().__init__(parameters, stream)
        self.numbers = INPUTS[: len(parameters.channel_delays_ps)]
        """Inputs for clicks."""
        self.inputs = {**dict.fromkeys(self.numbers, CLICKS), "clock": CLOCK}
        flicker = None
        if parameters.oscillator_flicker_ps > 0.0:
            flicker = Wander(
                stream.child("oscillator"),
                parameters.oscillator_flicker_ps,
                FLICKER_SHORTEST_S,
                FLICKER_LONGEST_S,
            )
        errors = parameters.oscillator_offset_ppm, parameters.oscillator_drift_ppb_per_s
        self.oscillator = TimeBase(*errors, flicker) if any(errors) or flicker else LAB_TIME
