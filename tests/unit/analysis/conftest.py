"""A transmitter, a fibre and a receiver in a few lines of numpy: tags of which every slot is known."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from qdci_lab.analysis import SymbolCode

MU, NU = 0.523, 0.131


@dataclass(frozen=True)
class Recording:
    """Tags in order of time, with the slot and the detector of every click that came from a pulse."""

    times: NDArray[np.int64]
    channels: NDArray[np.uint8]
    slots: NDArray[np.int64]
    detectors: NDArray[np.int64]

    def blocks(self, cuts: list[int]) -> list[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        edges = [0, *sorted(cuts), self.times.size]
        return [(self.times[a:b], self.channels[a:b]) for a, b in pairwise(edges)]


def turned(z_angle: float, x_angle: float = 0.0) -> NDArray[np.float64]:
    """Rotation of the Stokes vector (x, y, z): about y by `z_angle`, then about z by `x_angle`."""
    c, s, cx, sx = np.cos(z_angle), np.sin(z_angle), np.cos(x_angle), np.sin(x_angle)
    about_y = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    about_z = np.array([[cx, -sx, 0.0], [sx, cx, 0.0], [0.0, 0.0, 1.0]])
    return about_z @ about_y


def record_link(
    code: SymbolCode,
    *,
    rate_hz: float,
    duration_s: float,
    seed: int,
    rotation: NDArray[np.float64] | None = None,
    dark_hz: float = 0.0,
    jitter_ps: float = 150.0,
    offset_ppm: float = 0.0,
    drift_ppb_per_s: float = 0.0,
    start_ps: int = 10**15,
) -> Recording:
    """Clicks of four detectors (tagger inputs 1 to 4: Z0, Z1, X0, X1), at most one per detector and slot."""
    rng = np.random.default_rng(seed)
    strength = np.array([MU, NU])[code.intensity]
    sign = 1.0 - 2.0 * code.bit
    sent = np.stack([sign * (code.basis == 1), np.zeros(code.length), sign * (code.basis == 0)])
    received = (np.eye(3) if rotation is None else rotation) @ sent
    projections = (
        np.stack([1 + received[2], 1 - received[2], 1 + received[0], 1 - received[0]]) / 4 * strength
    )
    period_ps = 1e4 * (1 + offset_ppm * 1e-6)
    slots_in_all = int(duration_s * 1e12 / period_ps)
    periods = slots_in_all // code.length
    clicks_per_slot = projections * rate_hz * period_ps * 1e-12 / projections.sum(axis=0).mean()
    times, channels, slots, detectors = [], [], [], []
    for detector in range(4):
        places = np.repeat(np.arange(code.length), rng.poisson(clicks_per_slot[detector] * periods))
        clicked = np.unique(rng.integers(0, periods, places.size) * code.length + places)
        drift = 0.5 * drift_ppb_per_s * 1e-9 * period_ps**2 / 1e12 * clicked.astype(float) ** 2
        dark = rng.uniform(0.0, slots_in_all * period_ps, rng.poisson(dark_hz * duration_s))
        arrivals = clicked * period_ps + drift + rng.normal(0.0, jitter_ps, clicked.size)
        times += [arrivals, dark]
        channels.append(np.full(arrivals.size + dark.size, detector + 1, dtype=np.uint8))
        slots.append(clicked)
        detectors.append(np.full(clicked.size, detector))
    all_times, all_channels = np.concatenate(times), np.concatenate(channels)
    order = np.argsort(all_times, kind="stable")
    phase_ps = rng.uniform(0.0, 1e4)
    return Recording(
        times=np.rint(all_times[order] + phase_ps).astype(np.int64) + start_ps,
        channels=all_channels[order],
        slots=np.concatenate(slots),
        detectors=np.concatenate(detectors),
    )


@pytest.fixture
def record() -> Callable[..., Recording]:
    return record_link


@pytest.fixture
def turn() -> Callable[..., NDArray[np.float64]]:
    return turned


@pytest.fixture
def intensities() -> tuple[float, float]:
    return (MU, NU)
