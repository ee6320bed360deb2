"""Widths and arrivals of sync pulses in synthetic records, fixed seeds."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from qdci_lab.analysis.sync_pulse import combined, find_sync_pulses

INTERVAL_PS, PERIOD_PS = 12.5, 1e4


def record(
    seed: int,
    *,
    fwhm_ps: float = 1000.0,
    jitter_ps: float = 8.0,
    noise_v: float = 3e-3,
    first_ps: float = 3210.0,
) -> np.ndarray:
    """100 periods of pulses of 0.2 V over 0.03 V, from -1 ns on."""
    rng = np.random.default_rng(seed)
    times_ps = -1000.0 + INTERVAL_PS * np.arange(80_800)
    centres_ps = first_ps + PERIOD_PS * np.arange(-1, 103) + rng.normal(0.0, jitter_ps, 104)
    nearest_ps = centres_ps[np.clip(np.round((times_ps - first_ps) / PERIOD_PS).astype(int) + 1, 0, 103)]
    pulses_v = 0.2 * np.exp(-4.0 * math.log(2.0) * ((times_ps - nearest_ps) / fwhm_ps) ** 2)
    return 0.03 + pulses_v + rng.normal(0.0, noise_v, times_ps.size)


def slow_noise(seed: int) -> np.ndarray:
    """Noise of 12 mV behind a Gaussian low pass of 0.35 GHz."""
    noise = gaussian_filter1d(np.random.default_rng(seed).standard_normal(80_800), 380.0 / INTERVAL_PS)
    return 0.012 * noise / noise.std()


@pytest.mark.parametrize("fwhm_ps", [400.0, 970.0, 1230.0, 2500.0])
@pytest.mark.parametrize("first_ps", [30.0, 4900.0, 9990.0])
def test_width_and_arrival_are_found_within_their_errors(fwhm_ps, first_ps):
    """Four standard errors: false-alarm rate 6e-5 each; the jitter does not widen the pulses."""
    found = find_sync_pulses(
        record(1, fwhm_ps=fwhm_ps, first_ps=first_ps, jitter_ps=40.0), INTERVAL_PS, -1e3, PERIOD_PS
    )
    assert found.widths_ps.size >= 99
    assert abs(found.fwhm_ps - fwhm_ps) < 4.0 * found.fwhm_error_ps
    assert found.fwhm_error_ps < 0.01 * fwhm_ps
    assert found.height_v == pytest.approx(0.2, rel=0.02)
    assert found.baseline_v == pytest.approx(0.03, abs=2e-3)
    off_ps = (found.arrival_ps - first_ps + 5e3) % 1e4 - 5e3
    assert abs(off_ps) < 4.0 * 2.0 * 40.0 / math.sqrt(100.0)
    assert found.period_ps == pytest.approx(PERIOD_PS, abs=1.0)


def test_noise_does_not_widen_the_pulses():
    """4000 pulses, each found to 7 % in noise as slow as they are, within three standard errors (false alarm 0.3 %).

    Pulses fitted all by themselves would be 0.5 % too wide.
    """
    widths_ps = np.concatenate(
        [
            find_sync_pulses(
                record(seed, noise_v=0.0, jitter_ps=20.0) + slow_noise(seed), INTERVAL_PS, -1e3, PERIOD_PS
            ).widths_ps
            for seed in range(40)
        ]
    )
    assert 0.05 < widths_ps.std() / 1000.0 < 0.15
    assert abs(widths_ps.mean() - 1000.0) < 3.0 * widths_ps.std() / math.sqrt(widths_ps.size)


def test_errors_are_the_spread_of_repeated_records():
    """40 records: their spread has an error of 11 %, four of which are allowed."""
    found = [find_sync_pulses(record(seed), INTERVAL_PS, -1e3, PERIOD_PS) for seed in range(40)]
    stated_ps = np.mean([pulses.fwhm_error_ps for pulses in found])
    assert np.std([pulses.fwhm_ps for pulses in found], ddof=1) == pytest.approx(stated_ps, rel=0.45)
    jitters_ps = np.array([pulses.jitter_ps for pulses in found])
    assert jitters_ps.mean() == pytest.approx(8.0, rel=0.05)
    assert jitters_ps.std(ddof=1) == pytest.approx(
        np.mean([pulses.jitter_error_ps for pulses in found]), rel=0.45
    )


def test_what_holds_no_pulses_is_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="none found"):
        find_sync_pulses(rng.normal(0.0, 1e-3, 80_000), INTERVAL_PS, 0.0, PERIOD_PS)
    with pytest.raises(ValueError, match="the record is flat"):
        find_sync_pulses(np.zeros(80_000), INTERVAL_PS, 0.0, PERIOD_PS)
    with pytest.raises(ValueError, match="do not hold 4 periods"):
        find_sync_pulses(record(1)[:3000], INTERVAL_PS, 0.0, PERIOD_PS)


def test_estimates_are_combined_by_their_weights():
    mean, error = combined(np.array([1.0, 2.0]), np.array([1.0, 0.5]))
    assert (mean, error) == (pytest.approx(1.8), pytest.approx(math.sqrt(0.2)))
