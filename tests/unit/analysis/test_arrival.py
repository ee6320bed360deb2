"""Arrival histograms against rational arithmetic, and pulse widths against the Gaussians they come from."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis import SlotClock
from qdci_lab.analysis.arrival import ArrivalHistogram
from qdci_lab.analysis.pulse_width import estimate_pulse_width

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))
SECTION_PS = 2**36


def exact_place(clock, time):
    """Distance from the nearest pulse in periods, in rational numbers."""
    period, drift = Fraction(clock.period_ps), Fraction(clock.drift_ps_per_slot2)
    wanted = Fraction(time - clock.epoch_ps) - Fraction(clock.phase_ps)
    slot = round(wanted / period)
    for _ in range(6):
        slot -= round((slot * period + drift * slot * slot / 2 - wanted) / (period + slot * drift))
    local = period + drift * slot
    return (wanted - slot * period - drift * slot * slot / 2) / local


@settings(max_examples=100, deadline=None)
@given(
    tags=st.lists(
        st.tuples(
            st.sampled_from([0, -1, 1, 3, 10**6]), st.integers(-50_000, 50_000), st.sampled_from([1, 2, 9])
        ),
        max_size=30,
    ),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    epoch=st.sampled_from([0, 10**15, -(10**17)]),
    period=st.sampled_from([10_000.0, 9_999.876_543_21, 800.123]),
    phase=st.sampled_from([0.3, 1234.5]),
    drift=st.sampled_from([0.0, 1e-3, -1e-3]),
    bins=st.integers(1, 50),
    delay=st.sampled_from([0, 777]),
)
def test_every_tag_is_in_the_bin_of_its_place(tags, cuts, epoch, period, phase, drift, bins, delay):
    """Tags around the edges of sections up to 19 hours from the epoch, in any order."""
    clock = SlotClock(epoch, period, phase_ps=phase, drift_ppb_per_s=drift)
    times = np.array([epoch + SECTION_PS * section + rest for section, rest, _ in tags], dtype=np.int64)
    channels = np.array([number for *_, number in tags], dtype=np.uint8)
    histogram = ArrivalHistogram(clock, (2, 1), bins=bins, delays_ps={2: delay})
    for block in zip(np.split(times, sorted(cuts)), np.split(channels, sorted(cuts)), strict=True):
        histogram.add(*block)
    low, high = np.zeros((2, bins), dtype=np.int64), np.zeros((2, bins), dtype=np.int64)
    for time, number in zip(times.tolist(), channels.tolist(), strict=True):
        if number != 9:
            place = exact_place(clock, time - delay * (number == 2)) + Fraction(1, 2)
            row = 0 if number == 2 else 1
            # Within 0.01 ps of an edge, where the rounding of a float64 decides, either bin will do.
            doubt = Fraction(1, 100) / Fraction(period)
            cells = {math.floor((place + side) * bins) % bins for side in (-doubt, doubt)}
            for cell in cells:
                high[row, cell] += 1
            low[row, min(cells)] += len(cells) == 1
    counts = histogram.finish().counts
    assert (low <= counts).all()
    assert (counts <= high).all()
    assert counts.sum() == np.count_nonzero(channels != 9)


def test_the_result_is_that_of_any_pieces():
    rng = np.random.default_rng(1)
    times = np.sort(rng.integers(0, 3 * SECTION_PS, 20_000))
    channels = rng.integers(1, 4, times.size).astype(np.uint8)
    clock = SlotClock(17, 9_999.3, drift_ppb_per_s=20.0)
    counts = []
    for cuts in ([], [1], list(range(0, 20_000, 313))):
        histogram = ArrivalHistogram(clock, (1, 2), bins=100)
        for block in zip(np.split(times, cuts), np.split(channels, cuts), strict=True):
            histogram.add(*block)
        counts.append(histogram.finish().counts)
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[0], counts[2])


def test_a_drifting_clock_keeps_its_pulses_in_one_bin():
    clock = SlotClock(0, 10_000.0, phase_ps=25.0, drift_ppb_per_s=40.0)
    slots = np.random.default_rng(3).integers(0, 300_000_000, 5000)
    times = np.rint(clock.arrival_ps(slots)).astype(np.int64)
    histogram = ArrivalHistogram(clock, (1,), bins=999)
    histogram.add(times, np.ones(times.size, np.uint8))
    arrivals = histogram.finish()
    assert arrivals.counts[0, 499] == 5000
    assert arrivals.centres_ps[499] == pytest.approx(0.0, abs=1e-9)
    fixed = ArrivalHistogram(replace(clock, drift_ppb_per_s=0.0), (1,), bins=999)
    fixed.add(times, np.ones(times.size, np.uint8))
    assert fixed.finish().counts.max() < 500


@pytest.mark.parametrize(
    ("clicks", "dark", "sigma_ps", "bin_ps"),
    [(2_000, 0, 150.0, 50.0), (100_000, 20_000, 150.0, 50.0), (20_000, 5_000, 150.0, 10.0)],
)
def test_widths_scatter_about_the_truth_as_their_errors_say(clicks, dark, sigma_ps, bin_ps):
    """25 histograms of one Gaussian: pulls with a mean within 5 standard errors and a spread near 1."""
    rng = np.random.default_rng(11)
    pulls = []
    for _ in range(25):
        places = np.concatenate([rng.normal(3_100.0, sigma_ps, clicks), rng.uniform(0.0, 10_000.0, dark)])
        counts = np.bincount((np.mod(places, 10_000.0) / bin_ps).astype(int), minlength=int(10_000 / bin_ps))
        width = estimate_pulse_width(counts, bin_ps)
        pulls.append((width.fwhm_ps - FWHM_PER_SIGMA * sigma_ps) / width.standard_error_ps)
    assert abs(np.mean(pulls)) < 1.0
    assert 0.5 < np.std(pulls) < 1.6


def test_a_pulse_on_the_edge_of_the_period_is_as_wide_as_any():
    counts = np.rint(1e5 * np.exp(-0.5 * ((np.arange(200) - 100) / 5.0) ** 2)).astype(np.int64)
    middle = estimate_pulse_width(counts, 10.0)
    edge = estimate_pulse_width(np.roll(counts, 100), 10.0)
    assert edge.fwhm_ps == pytest.approx(middle.fwhm_ps)
    assert middle.fwhm_ps == pytest.approx(FWHM_PER_SIGMA * 50.0, rel=0.02)


def test_the_width_of_one_channel_or_of_all():
    rng = np.random.default_rng(2)
    slots = np.arange(20_000)
    sigmas = np.where(slots % 2 == 0, 50.0, 300.0)
    times = np.rint(10_000 * slots + rng.normal(0.0, sigmas)).astype(np.int64)
    histogram = ArrivalHistogram(SlotClock(0, 1e4), (1, 2), bins=500)
    histogram.add(times, (1 + slots % 2).astype(np.uint8))
    arrivals = histogram.finish()
    narrow, both, wide = (arrivals.pulse_width(which).fwhm_ps for which in (1, None, 2))
    assert narrow < both < wide


@pytest.mark.parametrize("counts", [np.full(100, 50), np.zeros(100, int), np.ones(4, int)])
def test_without_a_pulse_there_is_no_width(counts):
    with pytest.raises(ValueError, match="pulse"):
        estimate_pulse_width(counts, 10.0)


@pytest.mark.parametrize("wrong", [{"bins": 0}, {"channels": (1, 1)}, {"channels": ()}, {"channels": (256,)}])
def test_histograms_that_make_no_sense_are_refused(wrong):
    options = {"channels": (1,), "bins": 10, **wrong}
    with pytest.raises(ValueError, match="input"):
        ArrivalHistogram(SlotClock(0, 1e4), options["channels"], bins=options["bins"])
