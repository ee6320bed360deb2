"""What every component of the bench offers: ports, settings, the light that leaves it, and what it can sense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from sim_devices.twin.baseband import Baseband
from sim_devices.twin.clock_signal import ClockSignal
from sim_devices.twin.electrical import OFF, ClickProcess, Waveform
from sim_devices.twin.light import DARK, Light
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

Signal = Light | Waveform | ClickProcess | ClockSignal | Baseband | None
"""What a port can carry; None is an input of clicks, of a clock or of a baseband with nothing on it."""

OPTICAL, VOLTAGE, CLICKS, CLOCK, BASEBAND = "light", "voltage", "clicks", "clock", "baseband"
"""Kinds of port; only like may be linked to like."""

NOTHING: Mapping[str, Signal] = {OPTICAL: DARK, VOLTAGE: OFF, CLICKS: None, CLOCK: None, BASEBAND: None}
"""What an unconnected input of each kind receives."""


@dataclass(frozen=True)
class Needs:
    """What must be known before some outputs can be computed."""

    inputs: tuple[str, ...]
    """Inputs whose light passes on to these outputs."""
    outputs: tuple[str, ...]
    """Outputs that are computed together."""
    bystanders: tuple[str, ...] = ()
    """Inputs that only disturb (crosstalk, Raman noise), taken without the disturbances they suffered themselves."""


class Ports(Protocol):
    """The signals at one component's ports at one instant."""

    def input(self, port: str) -> Signal:
        """What arrives."""
        ...

    def output(self, port: str) -> Signal:
        """What leaves."""
        ...


P = TypeVar("P")


class Component(Generic[P]):
    """A thing on the bench: frozen parameters, and outputs that are a pure function of inputs and settings."""

    DEFAULTS: ClassVar[Mapping[str, object]] = {}
    """Settings, and the values that hold before any instrument has spoken."""
    COUNTED: ClassVar[frozenset[str]] = frozenset()
    """Observables that are rates of random events: what is sensed is a number counted, not the expectation."""
    READINGS: ClassVar[frozenset[str]] = frozenset()
    """What an instrument reads at this component as it would a setting, but which follows from the inputs."""

    CALIBRATIONS: ClassVar[frozenset[str]] = frozenset()
    """Parameters that may drift: numbers, or tuples of them."""

    Parameters: ClassVar[type[Any]]
    """The dataclass of this kind's parameters."""
    inputs: Mapping[str, str]
    """Kind of each input port."""
    outputs: Mapping[str, str]
    """Kind of each output port."""
    defaults: Mapping[str, object]
    """DEFAULTS, or what follows from the parameters."""
    drift_step_ps: int | None = None
    """The component drifts in constant steps of this length; None if it does not."""

    def __init__(self, parameters: P, stream: KeyedStream) -> None:
        self.parameters = parameters
        self.stream = stream
        self.defaults = dict(self.DEFAULTS)

    def counted_outputs(self, quantity: str) -> Sequence[str]:
        """The outputs whose clicks an observable of `COUNTED` counts; here: all of them."""
        del quantity
        return tuple(self.outputs)

    def needs(self, output: str, settings: Settings) -> Needs:
        """What `output` depends on under these settings; here: on every input."""
        del output, settings
        return Needs(tuple(self.inputs), tuple(self.outputs))

    def propagate(
        self, inputs: Mapping[str, Signal], settings: Settings, wanted: Sequence[str]
    ) -> Mapping[str, Signal]:
        """The signals at the `wanted` outputs; inputs that were not asked for in `needs` are absent."""
        del inputs, settings, wanted
        return {}

    def sense(self, quantity: str, ports: Ports, settings: Settings) -> float:
        """The momentary (expected) value of an observable. Raises ValueError for one that does not exist here."""
        del ports, settings
        raise ValueError(f"{type(self).__name__} has no observable {quantity!r}")

    def reading(self, name: str, inputs: Mapping[str, Signal], time_ps: int) -> object:
        """One of `READINGS` at a lab time. Raises ValueError for another name."""
        del inputs, time_ps
        raise ValueError(f"{type(self).__name__} has no setting {name!r}")

    def checked(self, name: str, value: object) -> object:
        """`value` as setting `name` keeps it. Raises ValueError for an unknown setting or a value of another type."""
        if name not in self.defaults:
            known = ", ".join(sorted(self.defaults)) or "none"
            raise ValueError(f"{type(self).__name__} has no setting {name!r} (settings: {known})")
        return _like(name, value, self.defaults[name])


def _like(name: str, value: object, example: object) -> object:
    if isinstance(example, tuple) and isinstance(value, Sequence) and len(value) == len(example):
        return tuple(_like(name, item, kind) for item, kind in zip(value, example, strict=True))
    if isinstance(example, bool) and (isinstance(value, bool | np.bool_) or value in (0, 1)):
        return bool(value)
    if isinstance(example, float) and isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    if isinstance(example, str) and isinstance(value, str):
        return value
    raise ValueError(f"setting {name}: {value!r} where a value like {example!r} is expected")


def optical(inputs: Mapping[str, Signal], port: str) -> Light:
    """The light at an input, darkness where there is none."""
    signal = inputs.get(port)
    return signal if isinstance(signal, Light) else DARK


def voltage(inputs: Mapping[str, Signal], port: str) -> Waveform:
    """The waveform at an input, 0 V where there is none."""
    signal = inputs.get(port)
    return signal if isinstance(signal, Waveform) else OFF


def clock(inputs: Mapping[str, Signal], port: str) -> ClockSignal | None:
    """The clock at an input, None where there is none."""
    signal = inputs.get(port)
    return signal if isinstance(signal, ClockSignal) else None


def power_at(signal: Signal) -> float:
    """Optical power of a signal in W."""
    return signal.power_w if isinstance(signal, Light) else 0.0
