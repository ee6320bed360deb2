"""Values to set, and what counts as having been set, for any quantity that a driver can set."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from drivers.optical_switch.matrix_switch import MatrixSwitch
from qdci_lab.signals import ControlledSignal

FLOAT = 1e-9
Bounds = tuple[float, float]


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.sampled_from([low, high]) | st.floats(low, high)


def beyond(low: float, high: float) -> st.SearchStrategy[float]:
    below, above = st.floats(max_value=low, exclude_max=True), st.floats(min_value=high, exclude_min=True)
    return below | above | st.just(math.nan)


@st.composite
def connections(draw: st.DrawFn, switch: MatrixSwitch) -> tuple[int, ...]:
    """Some ingress ports, each to an egress port of its own."""
    assert switch.size is not None
    first, number = switch.size.ingress + 1, switch.size.egress
    egress = draw(st.permutations(range(first, first + number)))
    return tuple(port if draw(st.booleans()) else 0 for port in egress[: switch.size.ingress])


def allowed(
    device: Any, signal: ControlledSignal, bounds: Bounds, choices: Sequence[Any] = ()
) -> st.SearchStrategy[Any]:
    """Values that the signal takes: one of the choices, if there are any, or of the kind of its present one."""
    present = signal.last
    if choices:
        return st.sampled_from(choices)
    if isinstance(present, bool):
        return st.sampled_from([0, 1, False, True])
    if isinstance(device, MatrixSwitch):
        return connections(device)
    return st.tuples(*[numbers(*bounds)] * len(present)) if np.ndim(present) else numbers(*bounds)


def ends(signal: ControlledSignal, bounds: Bounds) -> list[Any]:
    """The lowest and the highest value that the signal takes."""
    if bounds == (0.0, 0.0):
        return []
    return [(bound,) * len(signal.last) if np.ndim(signal.last) else bound for bound in bounds]


def refused(signal: ControlledSignal, present: Any) -> st.SearchStrategy[Any]:
    """Values outside the limits; in an array one number is enough."""
    if isinstance(present, bool):
        return st.floats().filter(lambda value: value not in (0.0, 1.0))
    outside = beyond(*signal.limits)
    if not np.ndim(present):
        return outside
    places = st.integers(0, len(present) - 1)
    return st.builds(lambda at, value: (*present[:at], value, *present[at + 1 :]), places, outside)


def assert_near(signal: ControlledSignal, wanted: Any, found: Any) -> None:
    """Within half of the instrument's step; text, switches and ports exactly."""
    if signal.quantity is None or isinstance(found, bool):
        assert found == wanted
        return
    slack = 0.5 * signal.quantity.resolution + FLOAT * np.abs(wanted)
    assert np.shape(found) == np.shape(wanted)
    assert np.all(np.abs(np.subtract(found, wanted)) <= slack), (wanted, found)
