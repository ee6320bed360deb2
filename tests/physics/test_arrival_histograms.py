"""When clicks arrive within the period of the pulses, at five operating points of each protocol, against closed forms.

A click of a pulse is spread by the pulse, the detector and the tagger, whose standard deviations add up in squares;
dark counts, noise and afterpulses fall evenly over the period. How many of each there are is told by the closed form
of the protocol, so that nothing is fitted. Seeds are fixed; a chi-squared test of 40 classes a histogram, fifteen
histograms at a false-alarm rate of 1e-4 each.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sim_devices.twin.electrical import ClickProcess
from tests.physics import clason_bench, closed_form, cow_closed_form
from tests.physics.clason_bench import ClasonBench
from tests.physics.cow_bench import LINK, SENT, TWIN
from tests.physics.ji_bench import TESTBED, JiBench, random_pattern
from tests.physics.test_coherent_one_way import OPERATING_POINTS as COW_POINTS
from tests.physics.test_coherent_one_way import bench_with, changed
from tests.physics.test_three_state_bench import OPERATING_POINTS as THREE_STATE_POINTS

FALSE_ALARM = 1e-4
CLASSES = 40
ENOUGH = 100_000
"""Tags of one histogram: the closed forms are good to a thousandth, which so many do not resolve."""
FWHM_OF_SIGMA = math.sqrt(8.0 * math.log(2.0))


def spread_ps(parts, pulse_ps: float) -> float:
    """Standard deviation of a click of a pulse of `pulse_ps` (standard deviation)."""
    return math.hypot(pulse_ps, parts["detectors"]["jitter_ps"], parts["tagger"]["jitter_ps"])


def shares(
    period_ps: float, sigma_ps: float, pulses: list[tuple[float, float]], even: float
) -> NDArray[np.float64]:
    """Chance of each class of the period: `pulses` are (place in ps, weight), `even` the share of even clicks."""
    edges = np.linspace(0.0, period_ps, CLASSES + 1)
    folded = np.zeros(CLASSES)
    for place_ps, weight in pulses:
        for turn in (-1, 0, 1):
            folded += weight * np.diff(stats.norm.cdf(edges, place_ps + turn * period_ps, sigma_ps))
    return (1.0 - even) * folded / folded.sum() + even / CLASSES


def places_ps(process: ClickProcess, times_ps: NDArray[np.int64], cable_ps: float, period_ps: float):
    """Where in the period the tags of one detector fall; 0 is where its train begins."""
    train = process.train
    assert train is not None
    since_ps = times_ps - float(train.origin_ps) - float(process.latency_ps) - cable_ps
    return np.mod(since_ps - float(train.delay_ps), period_ps)


def assert_follows(found_ps: NDArray[np.float64], period_ps: float, expected: NDArray[np.float64]) -> None:
    observed = np.histogram(found_ps[:ENOUGH], bins=CLASSES, range=(0.0, period_ps))[0]
    wanted = expected * observed.sum()
    merged = np.cumsum(wanted) // 20.0  # classes of twenty and more, in order
    first = np.flatnonzero(np.diff(merged, prepend=-1.0))
    observed, wanted = np.add.reduceat(observed, first), np.add.reduceat(wanted, first)
    statistic = float(np.sum((observed - wanted) ** 2 / wanted))
    assert stats.chi2.sf(statistic, len(first) - 1) > FALSE_ALARM


@pytest.mark.parametrize("launch_dbm", [None, 5.0, 9.0, 12.0, 14.0])
def test_decoy_state_pulses_stand_on_the_floor_of_raman_noise(launch_dbm: float | None):
    bench = JiBench(random_pattern(10_240, seed=5))
    bench.align()
    if launch_dbm is not None:
        bench.launch(launch_dbm)
    times_ps, channels = bench.read(0.5)
    protocol, numbers = closed_form.Protocol(), closed_form.read_bench(TESTBED / "twin.toml")
    clicks = closed_form.predict(numbers, protocol, launch_dbm).clicks
    even_hz = numbers.dark_hz + closed_form.noise_hz(numbers, launch_dbm)
    live = 1.0 - clicks / protocol.period_s * numbers.dead_s
    even = live * even_hz * protocol.period_s / clicks + numbers.afterpulse
    parts = closed_form.parts_of(TESTBED / "twin.toml")
    sigma_ps = spread_ps(parts, parts["quantum_laser"]["pulse_fwhm_ps"] / FWHM_OF_SIGMA)
    found_ps = places_ps(bench.process("1"), times_ps[channels == 1], 21_250.0 - 5_000.0, 1e4)
    assert_follows(found_ps, 1e4, shares(1e4, sigma_ps, [(5_000.0, 1.0)], even))


@pytest.mark.parametrize(("core", "current_ma"), THREE_STATE_POINTS)
def test_three_state_pulses_stand_on_the_floor_of_the_diode(core: int, current_ma: float):
    bench = ClasonBench(core, current_ma)
    bench.align()
    times_ps, channels = bench.read(10.0)
    form, code = clason_bench.closed_form(), bench.code
    process = bench.process("1")
    assert process.train is not None
    period_ps = float(process.train.slot_ps)  # 20 ns of the generator's clock, which is not the tagger's
    detectors = form.parts["detectors"]
    noise_hz = form.noise_hz(core, current_ma) if core and current_ma else 0.0
    steady_hz = detectors["dark_rate_hz"][0] + detectors["efficiency"][0] * noise_hz / 4.0
    even = steady_hz * clason_bench.PERIOD_S / form.slot_hazards(code, core, current_ma)[0].mean()
    sigma_ps = spread_ps(form.parts, form.parts["quantum_laser"]["pulse_fwhm_ps"] / FWHM_OF_SIGMA)
    zoom_ps = 1000.0  # of the 20 ns; the rest is floor and one class
    found_ps = places_ps(process, times_ps[channels == 1], 21_250.0 - period_ps / 2.0, period_ps)
    near = np.abs(found_ps - period_ps / 2.0) < zoom_ps / 2.0
    even_near = even * zoom_ps / period_ps
    even_near /= even_near + 1.0 - even
    assert_follows(
        found_ps[near] - (period_ps - zoom_ps) / 2.0,
        zoom_ps,
        shares(zoom_ps, sigma_ps, [(zoom_ps / 2.0, 1.0)], even_near),
    )
    far = len(found_ps) - np.count_nonzero(near)
    expected = len(found_ps) * even * (1.0 - zoom_ps / period_ps)
    assert abs(far - expected) < 4.0 * math.sqrt(expected) + 0.02 * expected


@pytest.mark.parametrize("point", COW_POINTS)
def test_carved_pulses_stand_on_the_leak_of_their_modulator(point: str):
    """The data line of coherent one-way: pulses of two samples in slots of twelve, and what the modulator lets by."""
    added_loss_db, changes = COW_POINTS[point]
    twin = changed(changes)
    bench = bench_with(added_loss_db, changes)
    times_ps, channels = bench.read(10.0)
    line = cow_closed_form.predict(twin, LINK, SENT, added_loss_db).data
    dark_hz = line.live * twin["detectors"]["dark_rate_hz"]
    even = (dark_hz + line.afterpulses_hz) / line.clicks_hz
    slot_ps, lit = 1e12 / SENT.slot_rate_hz, sum(SENT.pulses) / len(SENT.pulses)
    sample_ps = slot_ps / SENT.samples_per_slot
    leak = cow_closed_form.ratio(-TWIN["intensity_modulator"]["extinction_db"])
    pulses = [
        (
            (sample + 0.5) * sample_ps,
            lit + (1.0 - lit) * leak if sample < SENT.samples_per_pulse else leak,
        )
        for sample in range(SENT.samples_per_slot)
    ]
    process = bench.twin.leaving("detectors.1")
    assert isinstance(process, ClickProcess)
    found_ps = places_ps(process, times_ps[channels == 1], 21_250.0 - sample_ps / 2.0, slot_ps)
    sigma_ps = spread_ps(twin, sample_ps / math.sqrt(12.0))
    assert_follows(found_ps, slot_ps, shares(slot_ps, sigma_ps, pulses, even))
