"""Model functions of the quTAG library for g(2) and for decays, and fits to them.

Reference: qutools tdchbt.h and tdclifetm.h, which name the models and their parameters and give no formulas. Assumed,
as these quantities are usually written: thermal B + A exp(-|t|/c); single photon 1 - exp(-|t|/t1); three levels
1 + pf2 (c exp(-|t|/tb) - (1 + c) exp(-|t|/ta)); detector jitter widens by a Gaussian whose variance is twice that of
one detector; decays I0 exp(-t/tau0), I0 (alpha exp(-t/tau0) + (1 - alpha) exp(-t/tau1)), I0 exp(-(t/tau0)**beta). All
times are in s. The start parameters for fits are assumed as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal, require_range

HBT_PARAMETERS, LFT_PARAMETERS = 5, 4
Values = NDArray[np.float64]

_JITTER_POINTS = 41
_JITTER_REACH = 4.0
_TINY_S = 1e-15


@dataclass(frozen=True)
class Model:
    """A function of time in s; `start` are good first parameters, as many as it has."""

    function: Callable[..., Values]
    start: tuple[float, ...]

    def padded_start(self, size: int) -> list[float]:
        """The start parameters, filled up with zeros."""
        return [*self.start, *[0.0] * (size - len(self.start))]


def _decay(t_s: Values, time_s: float) -> Values:
    return np.exp(-np.abs(t_s) / max(abs(time_s), _TINY_S))


def _coherent(t_s: Values) -> Values:
    return np.ones_like(t_s)


def _thermal(t_s: Values, a: float, c_s: float, b: float) -> Values:
    return b + a * _decay(t_s, c_s)


def _single(t_s: Values, t1_s: float) -> Values:
    return 1.0 - _decay(t_s, t1_s)


def _three_levels(t_s: Values, pf2: float, c: float, tb_s: float, ta_s: float) -> Values:
    return 1.0 + pf2 * (c * _decay(t_s, tb_s) - (1.0 + c) * _decay(t_s, ta_s))


def _offset(function: Callable[..., Values]) -> Callable[..., Values]:
    return lambda t_s, *parameters: function(t_s - parameters[-1], *parameters[:-1])


def _widened(function: Callable[..., Values], jitter_s: float) -> Callable[..., Values]:
    if jitter_s <= 0.0:
        return function
    steps = np.linspace(-_JITTER_REACH, _JITTER_REACH, _JITTER_POINTS)
    weights = np.exp(-(steps**2) / 2.0)
    shifts_s = steps * math.sqrt(2.0) * jitter_s

    def widened(t_s: Values, *parameters: float) -> Values:
        shifted = [function(t_s - shift_s, *parameters) for shift_s in shifts_s]
        return np.average(shifted, axis=0, weights=weights)

    return widened


_BASES: Sequence[tuple[Callable[..., Values], tuple[float, ...]]] = (
    (_thermal, (1.0, 10e-9, 1.0)),
    (_single, (10e-9,)),
    (_three_levels, (0.9, 0.5, 50e-9, 5e-9)),
)


def hbt_model(kind: int, jitter_s: float) -> Model:
    """HBT_FctType: 1 coherent; 2, 3, 4 thermal, single, three levels; 5 to 7 with jitter; 8 to 13 with an offset."""
    require_range(1 <= kind <= 13)
    if kind == 1:
        return Model(_coherent, ())
    group, base = divmod(kind - 2, 3)
    function, start = _BASES[base]
    if group in (1, 3):
        function = _widened(function, jitter_s)
    return Model(_offset(function), (*start, 0.0)) if group >= 2 else Model(function, start)


_LIFETIMES: Mapping[int, Model] = {
    1: Model(lambda t_s, i0, tau_s: i0 * _decay(t_s, tau_s), (1000.0, 10e-9)),
    2: Model(
        lambda t_s, i0, alpha, t0_s, t1_s: (
            i0 * (alpha * _decay(t_s, t0_s) + (1.0 - alpha) * _decay(t_s, t1_s))
        ),
        (1000.0, 0.5, 2e-9, 20e-9),
    ),
    3: Model(
        lambda t_s, i0, tau_s, beta: i0 * np.exp(-((np.abs(t_s) / max(abs(tau_s), _TINY_S)) ** abs(beta))),
        (1000.0, 10e-9, 1.0),
    ),
}


def lifetime_model(kind: int) -> Model:
    """LFT_FctType: 1 exponential, 2 two exponentials, 3 Kohlrausch."""
    require_range(kind in _LIFETIMES)
    return _LIFETIMES[kind]


def fit(model: Model, t_s: Values, values: Values, start: Sequence[float]) -> tuple[list[float], int]:
    """Best parameters and number of evaluations; -1 where the fit fails, with the start parameters."""
    from scipy.optimize import least_squares

    first = np.array(start[: len(model.start)], dtype=np.float64)
    if not np.all(np.isfinite(first)):
        raise TdcRefusal(ReturnCode.OUT_OF_RANGE)
    if not first.size:
        return [], 0
    scale = np.where(first != 0.0, np.abs(first), 1e-9)
    result = least_squares(lambda p: model.function(t_s, *(p * scale)) - values, first / scale, max_nfev=500)
    if not result.success:
        return first.tolist(), -1
    return (result.x * scale).tolist(), int(result.nfev)
