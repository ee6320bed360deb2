"""Jones matrices and rotations of the Poincare sphere; random birefringence and its drift.

A rotation is a unit quaternion (w, x, y, z), its Jones matrix w - i (x s1 + y s2 + z s3) with the Pauli matrices s.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sim_devices.twin.streams import KeyedStream

CHECKPOINT_STEPS = 1024
DIAGONAL = np.array([1.0, 1.0], dtype=np.complex128) / math.sqrt(2.0)
"""45 degrees: equal parts of H and V in phase."""


@lru_cache(maxsize=64)
def phase_state(phase_rad: float) -> NDArray[np.complex128]:
    """Equal parts of H and V with a phase between them: 0, pi/2, pi, 3 pi/2 are 45 deg, R, 135 deg, L. Read only."""
    state = np.array([1.0, np.exp(1j * phase_rad)], dtype=np.complex128) / math.sqrt(2.0)
    state.setflags(write=False)
    return state


@lru_cache(maxsize=64)
def retarder(retardance_rad: float, axis_deg: float) -> NDArray[np.complex128]:
    """Jones matrix of a linear retarder whose slow axis stands at `axis_deg` to H. Read only."""
    c, s = math.cos(math.radians(axis_deg)), math.sin(math.radians(axis_deg))
    turn = np.array([[c, -s], [s, c]])
    phases = np.diag([np.exp(0.5j * retardance_rad), np.exp(-0.5j * retardance_rad)])
    matrix = (turn @ phases @ turn.T).astype(np.complex128)
    matrix.setflags(write=False)
    return matrix


def jones_of(quaternion: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Jones matrix (2, 2) of a rotation."""
    w, x, y, z = quaternion
    return np.array([[w - 1j * z, -1j * x - y], [-1j * x + y, w + 1j * z]])


def random_rotation(generator: np.random.Generator) -> NDArray[np.float64]:
    """A rotation drawn without preference (Haar): a random point on the unit sphere in four dimensions."""
    quaternion = generator.standard_normal(4)
    return quaternion / np.linalg.norm(quaternion)


class PolarizationDrift:
    """A random walk of rotations in fixed steps: a pure function of stream and step number.

    Each step turns the Poincare sphere about a random axis; the three components of its rotation vector are normal
    with standard deviation `step_rad`; a step longer than `bound_rad` is cut to that length. Blocks of steps have their
    own stream, so any step can be asked for again.
    """

    def __init__(self, stream: KeyedStream, step_rad: float, bound_rad: float = math.inf) -> None:
        self._stream = stream
        self._step_rad = step_rad
        self._bound_rad = bound_rad
        self._block_starts = [np.array([1.0, 0.0, 0.0, 0.0])]
        self._block: tuple[int, NDArray[np.float64]] = (-1, np.empty((0, 4)))

    def rotation(self, step: int) -> NDArray[np.float64]:
        """The accumulated rotation after `step` steps, shape (4,)."""
        if self._step_rad == 0.0:
            return self._block_starts[0]
        block, within = divmod(step, CHECKPOINT_STEPS)
        while len(self._block_starts) <= block:
            self._block_starts.append(self._walk(len(self._block_starts) - 1)[-1])
        if self._block[0] != block:
            self._block = (block, self._walk(block))
        return self._block[1][within]

    def _walk(self, block: int) -> NDArray[np.float64]:
        """Rotations at the steps of one block and at the first of the next, shape (CHECKPOINT_STEPS + 1, 4)."""
        vectors = self._stream.child(str(block)).generator().standard_normal((CHECKPOINT_STEPS, 3))
        vectors *= 0.5 * self._step_rad
        half_angles = np.linalg.norm(vectors, axis=1, keepdims=True)
        allowed = np.minimum(half_angles, 0.5 * self._bound_rad)
        vectors *= np.divide(allowed, half_angles, out=np.ones_like(allowed), where=half_angles > 0.0)
        half_angles = allowed
        steps = np.concatenate((np.cos(half_angles), np.sinc(half_angles / np.pi) * vectors), axis=1)
        walked = np.concatenate((self._block_starts[block][None, :], steps))
        stride = 1
        while stride < len(walked):
            walked[stride:] = _product(walked[stride:], walked[:-stride])
            stride *= 2
        return walked / np.linalg.norm(walked, axis=1, keepdims=True)


def _product(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternion products row by row: `right` first, then `left`."""
    w1, x1, y1, z1 = left.T
    w2, x2, y2, z2 = right.T
    return np.stack(
        (
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ),
        axis=1,
    )
