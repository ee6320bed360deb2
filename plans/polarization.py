"""Polarization alignment by gradient descent on measured error rates (Ji et al., section 2.5).

The cost is the sum of the error rates of both bases, which is least when the receiver's axes are the transmitter's. As
a function of one squeezer's retardation it is a sinusoid, so that the difference at plus and minus an angle s, over
2 sin s, is the derivative itself and not an approximation to it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

from plans.stubs import read_together, set_in_turn, trigger_in_turn
from qdci_lab.errors import AcquisitionError

STREAM = "alignment"
QUARTER_TURNS_RAD = (0.0, -math.pi / 2, math.pi / 2, 0.0)
"""A start from which every squeezer turns about an axis of its own.

With no retardation anywhere squeezers of one axis act alike, and to first order nothing turns the light about the third
axis: a short descent may end there on a slope that it cannot feel.
"""


@dataclass(frozen=True)
class Descent:
    """How the descent is made.

    `volts_per_pi` is what the squeezers need for a retardation of pi, roughly known; `step` is in radians of
    retardation per unit of gradient, and `momentum` the share of the last stride that is gone again, which crosses
    the flat valleys that squeezers with nearly parallel axes have. The descent ends when the gradient is shorter than
    `tolerance` (error rates' sum per radian), or after `iterations`; `longest_s` bounds each acquisition, in lab time.
    A sum of error rates above `good_enough` is taken for another stationary point than the minimum: those have one or
    two, and the minimum what noise and the receiver's own errors leave.
    With `overshoot_v` every voltage is approached from so far below, which makes squeezers with play repeatable if it
    is more than twice the play.
    """

    volts_per_pi: float
    detections: float = 20_000
    probe_rad: float = math.pi / 2
    step: float = 0.7
    momentum: float = 0.5
    iterations: int = 60
    tolerance: float = 0.008
    good_enough: float = 0.1
    restarts: int = 4
    longest_s: float = 60.0
    overshoot_v: float = 0.0
    seed: int = 20_260
    start_rad: tuple[float, float, float, float] = QUARTER_TURNS_RAD
    from_here: bool = False
    """Begin where the squeezers stand, for light that has drifted a little, and not at `start_rad`."""

    def volts(self, angles_rad: NDArray[np.float64], limits_v: tuple[float, float]) -> list[float]:
        """Voltages for retardations; whole turns are taken away until they lie within the limits."""
        turn_v = 2.0 * self.volts_per_pi
        low_v, high_v = limits_v
        volts = angles_rad / math.pi * self.volts_per_pi
        volts = np.where(volts > high_v, volts - turn_v * np.ceil((volts - high_v) / turn_v), volts)
        volts = np.where(volts < low_v, volts + turn_v * np.ceil((low_v - volts) / turn_v), volts)
        return [round(float(volt), 3) for volt in volts]


def rough_descent(link: Any) -> Descent:
    """From anywhere on the sphere to a few hundredths of a radian, with acquisitions of less than a second."""
    return Descent(
        volts_per_pi=link.receiver.volts_per_pi, detections=3000.0, tolerance=0.05,
        iterations=40, longest_s=60.0,
    )  # fmt: skip


def fine_descent(link: Any) -> Descent:
    """From near by to two hundredths of a radian, which costs some 2e-4 of error: a step or two, more in a valley.

    Little momentum: after a drift of twenty minutes one stride leads there, and more of it would lead beyond.
    """
    return Descent(
        volts_per_pi=link.receiver.volts_per_pi, detections=6000.0, tolerance=0.05,
        iterations=12, longest_s=60.0, momentum=0.2, from_here=True,
    )  # fmt: skip


def align_polarization(link: Any, descent: Descent) -> MsgGenerator[float]:
    """Turn the polarization controller until both bases' errors are least; returns the sum of error rates reached.

    AcquisitionError if the sum stays above `good_enough` from every start.
    """
    chance = np.random.Generator(np.random.PCG64(descent.seed))
    start, cost = angles_now(link, descent) if descent.from_here else np.array(descent.start_rad), math.inf
    for _ in range(descent.restarts + 1):
        _, cost = yield from descend(link, descent, start)
        if cost <= descent.good_enough:
            return cost
        start = chance.uniform(-math.pi, math.pi, size=4)
    raise AcquisitionError(
        f"{link.polarization_controller.label}: not aligned: the error rates of both bases still add up to "
        f"{cost:.3f} after {descent.restarts + 1} starts (wanted: {descent.good_enough:g}); is the light there?"
    )


def angles_now(link: Any, descent: Descent) -> NDArray[np.float64]:
    """The retardations that the controller's present voltages are taken for."""
    volts = link.polarization_controller.voltages.last
    return math.pi / descent.volts_per_pi * np.asarray(volts, np.float64)


def descend(
    link: Any, descent: Descent, start: NDArray[np.float64]
) -> MsgGenerator[tuple[NDArray[np.float64], float]]:
    """One descent from a start, the controller left where it ends; returns the angles reached and the cost there."""
    yield from bps.mv(link.detections, descent.detections)
    yield from bps.mv(link.max_duration, descent.longest_s)
    yield from bps.mv(link.reuse_lock, 1)
    angles, cost = yield from _go_down(link, descent, start)
    yield from _turn_to(link, descent, angles)
    yield from bps.mv(link.reuse_lock, 0)
    return angles, cost


def _go_down(
    link: Any, descent: Descent, start: NDArray[np.float64]
) -> MsgGenerator[tuple[NDArray[np.float64], float]]:
    angles, stride = start.copy(), np.zeros(4)
    cost = math.inf
    for _ in range(descent.iterations):
        gradient, cost = yield from _gradient(link, descent, angles)
        stride = descent.momentum * stride - descent.step * gradient
        angles = angles + stride
        if float(np.linalg.norm(gradient)) < descent.tolerance:
            break
    return angles, cost


def _gradient(
    link: Any, descent: Descent, angles: NDArray[np.float64]
) -> MsgGenerator[tuple[NDArray[np.float64], float]]:
    """The cost's derivative by each squeezer's angle, and the cost here."""
    gradient = np.zeros(4)
    for channel in range(4):
        shift = np.zeros(4)
        shift[channel] = descent.probe_rad
        above = yield from _cost(link, descent, angles + shift)
        below = yield from _cost(link, descent, angles - shift)
        gradient[channel] = (above - below) / (2.0 * math.sin(descent.probe_rad))
    cost = yield from _cost(link, descent, angles)
    return gradient, cost


def _cost(link: Any, descent: Descent, angles: NDArray[np.float64]) -> MsgGenerator[float]:
    """The sum of both bases' error rates at these angles."""
    yield from _turn_to(link, descent, angles)
    yield from trigger_in_turn([link])
    measured = [link.qber_z, link.qber_x, link.n_z, link.n_x, link.polarization_controller]
    reading = yield from read_together(measured, stream=STREAM)
    if not reading:  # a dry run measures nothing
        return 0.0
    return sum(float(reading[signal.name]["value"]) for signal in (link.qber_z, link.qber_x))


def _turn_to(link: Any, descent: Descent, angles: NDArray[np.float64]) -> MsgGenerator[None]:
    controller = link.polarization_controller
    limits_v: Sequence[float] = controller.voltages.limits
    volts = descent.volts(angles, (limits_v[0] + descent.overshoot_v, limits_v[1]))
    if descent.overshoot_v > 0.0:
        below = [round(volt - descent.overshoot_v, 3) for volt in volts]
        yield from set_in_turn([(controller.voltages, below)])
    yield from set_in_turn([(controller.voltages, volts)])
