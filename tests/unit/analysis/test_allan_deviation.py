"""The overlapping Allan deviation against definitions by hand and laws of known noise."""

import numpy as np
import pytest

from qdci_lab.analysis.allan import allan_deviation


def test_it_is_the_definition_for_a_handful_of_values():
    values = np.array([1.0, 3.0, 2.0, 6.0, 5.0, 4.0])
    found = allan_deviation(values, 2.0)
    steps = np.diff(values)
    assert found.averaging_s[0] == 2.0
    assert found.deviation[0] == pytest.approx(np.sqrt(0.5 * np.mean(steps**2)))


def test_white_noise_falls_with_the_root_of_time_and_a_drift_rises_with_it():
    """Standard error of the first points is below 1 %; 5 % is more than five of them. Seed fixed."""
    white = allan_deviation(np.random.default_rng(1).normal(size=2**14), 1.0)
    assert white.deviation[:4] == pytest.approx(1.0 / np.sqrt(white.averaging_s[:4]), rel=0.05)
    drift = allan_deviation(0.1 * np.arange(256), 1.0)
    assert drift.deviation == pytest.approx(0.1 * drift.averaging_s / np.sqrt(2.0))


def test_missing_values_are_left_out_and_not_invented():
    values = np.random.default_rng(2).normal(size=400)
    values[100:130] = np.nan
    found = allan_deviation(values, 1.0)
    parts = np.concatenate([np.diff(values[:100]), np.diff(values[130:])])
    assert found.deviation[0] == pytest.approx(np.sqrt(0.5 * np.mean(parts**2)))


def test_too_few_values_give_an_empty_series_and_a_bad_interval_is_refused():
    assert allan_deviation([1.0, 2.0], 1.0).deviation.size == 0
    with pytest.raises(ValueError, match=r"interval of 0\.0 s"):
        allan_deviation([1.0, 2.0], 0.0)
