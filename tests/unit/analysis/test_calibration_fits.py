"""Fits of calibrations, against data made by formula."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.arrival_times import find_arrivals, full_width_half_maximum_ps
from qdci_lab.analysis.bb84 import Bb84Settings
from qdci_lab.analysis.calibration import fit_gate, fit_source, mean_photon_number
from qdci_lab.analysis.code import expected_pattern, make_code
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.errors import SynchronisationError

PERIOD_PS = 10_000.0
DELAYS_PS = (41_300, 0, 7_450, 1_020)


def accepted(width_ps, rms_ps):
    """Share of a Gaussian within a gate, by its integral and not by erf."""
    grid = np.linspace(-width_ps / 2, width_ps / 2, 4001)
    density = np.exp(-0.5 * (grid / rms_ps) ** 2) / (rms_ps * math.sqrt(2 * math.pi))
    return float(np.trapezoid(density, grid))


def test_a_gate_s_share_gives_timing_and_background_back():
    widths = np.array([150.0, 300.0, 500.0, 900.0, 3000.0, 10_000.0])
    rates = np.array([4e5 * accepted(width, 170.0) + 0.3 * width for width in widths])
    fit = fit_gate(widths, rates, np.sqrt(rates))
    assert fit.rms_ps == pytest.approx(170.0, abs=0.05)
    assert fit.signal_hz == pytest.approx(4e5, rel=1e-4)
    assert fit.background_hz_per_ps == pytest.approx(0.3, rel=1e-3)
    with pytest.raises(ValueError, match="four different widths"):
        fit_gate([1.0, 2.0, 2.0, 3.0], rates[:4], rates[:4])


def test_the_errors_of_a_gate_s_fit_are_standard_deviations():
    """A hundred repetitions: the share within one sigma is 0.68 +- 0.05; four sigma would be 0.48 and 0.88."""
    chance = np.random.default_rng(3)
    widths = np.array([150.0, 300.0, 500.0, 900.0, 3000.0, 10_000.0])
    expected = np.array([2e4 * accepted(width, 170.0) + 0.1 * width for width in widths])
    fits = [
        fit_gate(widths, counts, np.sqrt(counts)) for counts in chance.poisson(expected, (100, widths.size))
    ]
    within = np.mean([abs(fit.rms_ps - 170.0) < fit.rms_error_ps for fit in fits])
    assert 0.48 < within < 0.88


def test_half_a_hundred_photons_at_a_hundred_megahertz_are_two_thirds_of_a_nanowatt():
    """52.3 photons of 1549.32 nm: hc / lambda = 1.28216e-19 J, times 52.3e8 a second."""
    assert mean_photon_number(6.70569e-10, 1e8, 1549.32) == pytest.approx(52.3, rel=1e-4)


def test_a_source_behind_a_wrong_attenuator_is_found():
    attenuations = np.array([0.0, 5.0, 10.0])
    numbers = 48.0 * 10.0 ** (-0.1 * 1.013 * attenuations)
    fit = fit_source(attenuations, numbers, 1e-3 * numbers, systematic=0.02)
    assert fit.unattenuated == pytest.approx(48.0, rel=1e-9)
    assert fit.slope == pytest.approx(1.013, rel=1e-9)
    assert fit.mean_photon_number(fit.attenuation_db(0.523)) == pytest.approx(0.523, rel=1e-12)
    assert fit.uncertainty == pytest.approx(0.96, rel=0.01)
    with pytest.raises(ValueError, match="two attenuations"):
        fit_source([1.0, 1.0], [1.0, 1.0], [0.1, 0.1], systematic=0.0)


def tags(rate_hz, seconds, seed, delays_ps=DELAYS_PS):
    """Clicks of four detectors on a code, each late by its delay, with 150 ps of jitter and some dark counts."""
    code = make_code(1024, 0.798, 0.898, 1)
    chance = np.random.default_rng(seed)
    pattern = expected_pattern(code, (0.523, 0.131))
    slots = round(seconds * 1e12 / PERIOD_PS)
    times, channels = [], []
    for detector, weight in enumerate(pattern):
        number = round(rate_hz * seconds)
        frame = chance.integers(0, slots // code.length, number)
        place = chance.choice(code.length, number, p=weight / weight.sum())
        arrival = (frame * code.length + place + 0.31) * PERIOD_PS + delays_ps[detector]
        dark = chance.uniform(0, seconds * 1e12, number // 50)
        times.append(np.concatenate([arrival + chance.normal(0, 150.0, number), dark]))
        channels.append(np.full(times[-1].size, detector + 1))
    order = np.argsort(np.concatenate(times), kind="stable")
    settings = Bb84Settings(code, OneDecoyProtocol.for_code(code, 0.523, 0.131), PERIOD_PS)
    all_times = np.rint(np.concatenate(times)[order]).astype(np.int64)
    return all_times, np.concatenate(channels)[order].astype(np.uint8), settings


def test_delays_of_several_periods_are_found_to_a_few_picoseconds():
    found = find_arrivals(*tags(4e4, 0.5, seed=7))
    assert np.all(found.errors_ps < 2.0)
    assert np.all(np.abs(found.delays_ps - DELAYS_PS) < 4.0 * math.sqrt(2.0) * found.errors_ps)
    assert found.widths_ps == pytest.approx(150.0, rel=0.03)
    assert found.histograms.sum(axis=1).tolist() == found.clicks.tolist()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    delays_ps=st.tuples(*[st.integers(0, 5_000_000)] * 4),
    begin_ps=st.integers(-(10**15), 10**15),
)
def test_delays_are_found_wherever_they_lie_in_half_a_code(seed, delays_ps, begin_ps):
    """Against those that the tags were made with, whatever the time that is called zero.

    An input is off by 5.5 sigma of the two arrivals it is the difference of with probability 4e-8, in 20 examples of
    three inputs 2e-6.
    """
    times, channels, bench = tags(4e4, 0.1, seed, delays_ps)
    found = find_arrivals(times + begin_ps, channels, bench)
    earliest = int(np.argmin(delays_ps))
    sigma_ps = np.hypot(found.errors_ps, found.errors_ps[earliest])
    assert np.all(np.abs(found.delays_ps - np.subtract(delays_ps, min(delays_ps))) <= 5.5 * sigma_ps)
    assert np.all(found.errors_ps < 4.0)
    assert found.clicks.tolist() == [np.count_nonzero(channels == number) for number in (1, 2, 3, 4)]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), inputs=st.permutations([1, 2, 3, 4]))
def test_it_does_not_matter_which_detector_is_on_which_input(seed, inputs):
    times, channels, bench = tags(4e4, 0.1, seed)
    straight = find_arrivals(times, channels, bench)
    elsewhere = replace(bench, receiver=replace(bench.receiver, inputs=tuple(inputs)))
    turned = find_arrivals(times, np.array([0, *inputs], np.uint8)[channels], elsewhere)
    assert turned.delays_ps.tolist() == straight.delays_ps.tolist()
    assert turned.histograms.tolist() == straight.histograms.tolist()


def test_a_detector_without_light_is_named():
    times, channels, settings = tags(4e4, 0.2, seed=8)
    lit = channels != 3
    with pytest.raises(SynchronisationError, match=r"input 3: .*no tags"):
        find_arrivals(times[lit], channels[lit], settings)


def test_a_gaussian_s_width_at_half_height_is_two_point_three_five_of_its_rms():
    assert full_width_half_maximum_ps(1.0) == pytest.approx(2.3548, abs=1e-4)
