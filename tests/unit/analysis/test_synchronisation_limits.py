"""How far down a lock is found, and that there is none rather than a wrong one beyond: 20 seeds at each point."""

import numpy as np
import pytest

from qdci_lab.analysis import Receiver, make_code, synchronise
from qdci_lab.errors import SynchronisationError

CODE = make_code(1024, 0.798, 0.898, seed=1)
JITTER_PS = 150.0
SEEDS = range(20)


def right_share(found, recording) -> float:
    """Share of the pulses' clicks that the lock puts into their place of the code."""
    slots, residuals = found.clock.slots_of(recording.times)
    places = (slots + found.clock.frame_offset) % CODE.length
    sent = np.bincount(recording.slots % CODE.length, minlength=CODE.length)
    near = np.abs(residuals) < 4 * JITTER_PS
    return np.minimum(np.bincount(places[near], minlength=CODE.length), sent).sum() / max(sent.sum(), 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("rate_hz", "duration_s"), [(7e5, 0.05), (1.5e4, 1.0)], ids=["50 ms", "1 s"])
def test_a_drifting_clock_is_found(record, intensities, rate_hz, duration_s, seed):
    """700 kcps and 15 kcps over 1.2 kcps of dark counts, 12 ppm off and drifting by 20 ppb/s."""
    recording = record(
        CODE, rate_hz=rate_hz, duration_s=duration_s, dark_hz=300.0, offset_ppm=12.0, drift_ppb_per_s=20.0, seed=seed
    )  # fmt: skip
    found = synchronise(recording.times, recording.channels, CODE, intensities, Receiver(), 1e4)
    assert right_share(found, recording) > 0.99
    _, residuals = found.clock.slots_of(recording.times)
    core = residuals[np.abs(residuals) < 3 * JITTER_PS]
    # Dark counts under the pulse widen the core a little: 900 ps in 10 000 of 1.2 kcps.
    darks = 1200 * 0.09 / (rate_hz + 1200 * 0.09)
    expected = np.sqrt((1 - darks) * 0.9733 * JITTER_PS**2 + darks * (450.0**2) / 3)
    assert np.sqrt(np.mean(core**2)) < 1.05 * expected


@pytest.mark.parametrize("seed", SEEDS)
def test_too_little_light_is_not_locked_rather_than_locked_wrongly(record, intensities, seed):
    """100 cps over 1.2 kcps: a lock may be found, but never a false one."""
    recording = record(
        CODE, rate_hz=100.0, duration_s=1.0, dark_hz=300.0, offset_ppm=12.0, drift_ppb_per_s=20.0, seed=seed
    )  # fmt: skip
    with pytest.raises(SynchronisationError, match="not locked"):
        synchronise(recording.times, recording.channels, CODE, intensities, Receiver(), 1e4)
