"""The layout of a bench: what stands on it, what is connected to what, which instrument holds which component."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class PortAddress(NamedTuple):
    """One port of one component, written `component.port`."""

    component: str
    port: str

    def __str__(self) -> str:
        return f"{self.component}.{self.port}"


@dataclass(frozen=True)
class ComponentSpec:
    """A component by its type's name and its parameters."""

    type: str
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """A fibre or a cable from an output to an input."""

    source: PortAddress
    target: PortAddress


@dataclass(frozen=True)
class InstrumentSpec:
    """A simulated instrument: its firmware, and the components on the firmware's sockets."""

    firmware: str
    serial_number: str
    components: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class DriftSpec:
    """A parameter of a component that wanders about its value, in the parameter's own unit."""

    component: str
    parameter: str
    rms: float
    """Standard deviation, over times much longer than `longest_s`."""
    shortest_s: float = 600.0
    """Periods of the wandering: from this"""
    longest_s: float = 864_000.0
    """to this."""
    step_s: float = 10.0
    """It changes in steps of this length."""


@dataclass(frozen=True)
class Layout:
    """A validated twin.toml."""

    seed: int
    components: Mapping[str, ComponentSpec]
    links: tuple[Link, ...]
    instruments: Mapping[str, InstrumentSpec] = field(default_factory=dict)
    drifts: tuple[DriftSpec, ...] = ()
