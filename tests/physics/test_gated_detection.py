"""Gated detectors against the laws of gates: each gate is a trial, and what lies between gates does not exist.

Gates of 1 ns at 100 MHz, one detector; a laser fires in the middle of every gate if it fires. Random numbers have fixed
seeds, so that an alarm is a defect.
"""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from sim_devices.twin import sampling
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.light import DARK
from sim_devices.twin.twin import Twin

FALSE_ALARM = 1e-4
PERIOD_PS, WIDTH_PS, DELAY_PS = 10_000, 1000, 3000
LATENCY_PS, CABLE_PS, TRIGGER_DELAY_PS = 20_000, 1000, 2000
EFFICIENCY = 0.2
GATED = {
    "number": 1, "efficiency": EFFICIENCY, "dark_rate_hz": 1e4, "dead_time_ns": 95.0, "afterpulse_probability": 0.0,
    "afterpulse_time_us": 1.0, "jitter_ps": 0.0, "latency_ns": LATENCY_PS / 1e3, "gate_width_ps": float(WIDTH_PS),
    "gate_delay_ps": float(DELAY_PS),
}  # fmt: skip
LINKS = ("awg.1 laser.trigger", "awg.2 detectors.trigger", "laser.out voa.in", "voa.out detectors.1",
         "detectors.1 tagger.1")  # fmt: skip
MIDDLE_PS = DELAY_PS + WIDTH_PS / 2 - TRIGGER_DELAY_PS
"""By how much the laser's trigger is later than that of the gates for pulses in the middle: whole samples."""


def address(text: str) -> PortAddress:
    component, _, port = text.partition(".")
    return PortAddress(component, port)


def square(shift_ps: float = 0.0) -> NDArray[np.int8]:
    """One rising edge in 10 ns at 16 GS/s, at `shift_ps`."""
    wave = np.where(np.arange(160) < 80, 127, -127).astype(np.int8)
    return np.roll(wave, round(shift_ps * 0.016))


class GatedBench:
    """A laser of known photons per pulse before a gated detector."""

    def __init__(
        self, seed: int = 1, *, shift_ps: float = MIDDLE_PS, fwhm_ps: float = 0.0, **changes: Any
    ) -> None:
        laser = {"wavelength_nm": 1550.0, "mean_photons": 1.0, "trigger_delay_ps": float(TRIGGER_DELAY_PS),
                 "pulse_fwhm_ps": fwhm_ps}  # fmt: skip
        kinds: dict[str, tuple[str, dict[str, Any]]] = {
            "awg": ("waveform_source", {}),
            "laser": ("pulsed_laser", laser),
            "voa": ("attenuator", {}),
            "detectors": ("gated_detectors", {**GATED, **changes}),
            "tagger": ("time_tagger", {"channel_delays_ps": (float(CABLE_PS),)}),
        }
        links = (Link(*map(address, text.split())) for text in LINKS)
        components = {name: ComponentSpec(*kind) for name, kind in kinds.items()}
        self.twin = Twin(Layout(seed, components, tuple(links)))
        self.play(square(shift_ps), square())

    def play(self, laser: NDArray[np.int8] | None, gates: NDArray[np.int8] | None) -> None:
        self.twin.handle("awg").apply(
            waveforms=(laser, gates, None, None), output_on=(True,) * 4, amplitude_v=(1.0,) * 4, running=True
        )

    def lit(self, attenuation_db: float = 0.0) -> "GatedBench":
        self.twin.handle("voa").apply(shutter_open=True, attenuation_db=attenuation_db)
        return self

    def read(self, span_s: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
        """Number of the gate, time since it began, origin of each click."""
        until_ps = self.twin.lab_time.advance_by(round(span_s * 1e12))
        times_ps, _, origins = self.twin.tagger("tagger").read_with_origin(until_ps)
        gate, since_ps = np.divmod(times_ps - LATENCY_PS - CABLE_PS - DELAY_PS, PERIOD_PS)
        return gate, since_ps, origins


def within(found: float, expected: float, sigma: float, tests: int = 1) -> bool:
    return abs(found - expected) < stats.norm.isf(FALSE_ALARM / 2 / tests) * sigma


def click_rate(probability: float, held: int) -> float:
    """Clicks per gate if each gate clicks with a probability, but for the `held` ones after a click."""
    return probability / (1.0 + held * probability)


@pytest.mark.parametrize("edge_ps", [0.0, 200.0])
def test_dark_counts_are_gates_times_their_probability_and_lie_in_the_gates(edge_ps: float):
    bench = GatedBench(dark_rate_hz=1e6, gate_edge_ps=edge_ps)
    gates, since_ps, origins = bench.read(1.0)
    probability = -math.expm1(-1e6 * (WIDTH_PS - edge_ps) * 1e-12)
    expected = 1e8 * click_rate(probability, 9)
    assert within(len(gates), expected, expected**0.5)
    assert set(origins) == {sampling.DARK_COUNT}
    assert since_ps.min() >= 0
    assert since_ps.max() < WIDTH_PS
    if edge_ps == 0.0:
        assert stats.kstest(since_ps + 0.5, "uniform", args=(0.0, WIDTH_PS)).pvalue > FALSE_ALARM
    else:  # a trapezoid: half of an edge over the whole area lies in each edge
        part = np.mean(since_ps < edge_ps)
        share = 0.5 * edge_ps / (WIDTH_PS - edge_ps)
        assert within(float(part), share, (share / len(since_ps)) ** 0.5)


@pytest.mark.parametrize("attenuation_db", [0.0, 10.0])
def test_pulses_within_the_gate_are_seen_with_the_efficiency(attenuation_db: float):
    bench = GatedBench(dark_rate_hz=0.0).lit(attenuation_db)
    gates, since_ps, _ = bench.read(0.05)
    probability = -math.expm1(-EFFICIENCY * 10 ** (-attenuation_db / 10))
    expected = 5e6 * click_rate(probability, 9)
    assert within(len(gates), expected, (expected * (1 - probability)) ** 0.5)
    assert np.all(np.abs(since_ps - WIDTH_PS / 2) <= 1)


@pytest.mark.parametrize("shift_ps", [2000.0, 5000.0])
def test_pulses_between_the_gates_are_not_seen(shift_ps: float):
    bench = GatedBench(dark_rate_hz=0.0, shift_ps=MIDDLE_PS + shift_ps, fwhm_ps=100.0).lit()
    assert len(bench.read(0.05)[0]) == 0
    process = bench.twin.leaving("detectors.1")
    assert isinstance(process, ClickProcess)
    assert process.click_hz < 1e-3


@pytest.mark.parametrize(("edge_ps", "share"), [(0.0, 0.5), (400.0, 0.5)])
def test_a_gate_cuts_a_pulse_where_it_opens(edge_ps: float, share: float):
    """Half of a pulse centred on a flat gate's opening, or on the middle of a linear edge, and nothing from before."""
    shift_ps = MIDDLE_PS - WIDTH_PS / 2 + edge_ps / 2
    bench = GatedBench(
        dark_rate_hz=0.0, gate_edge_ps=edge_ps, shift_ps=round(shift_ps / 62.5) * 62.5, fwhm_ps=100.0
    )
    off_ps = round(shift_ps / 62.5) * 62.5 - shift_ps
    gates, since_ps, _ = bench.lit(10.0).read(0.1)
    sigma_ps = 100.0 / 2.3548
    share = stats.norm.cdf(off_ps / sigma_ps) if edge_ps == 0.0 else share + off_ps / edge_ps
    probability = -math.expm1(-EFFICIENCY * 0.1 * share)
    expected = 1e7 * click_rate(probability, 9)
    assert within(len(gates), expected, expected**0.5)
    assert since_ps.min() >= 0
    process = bench.twin.leaving("detectors.1")
    assert isinstance(process, ClickProcess)
    assert process.photoelectron_hz == pytest.approx(EFFICIENCY * 0.1 * share * 1e8, rel=1e-3)


def test_gates_are_held_off_for_the_dead_time_and_then_each_is_a_trial():
    """A click in the middle of gate 0 holds off gates 1 to 9 (95 ns), then gaps are geometric (chi-squared)."""
    bench = GatedBench(dark_rate_hz=0.0).lit()
    gaps = np.diff(bench.read(0.1)[0])
    assert gaps.min() == 10
    probability = -math.expm1(-EFFICIENCY)
    beyond = np.minimum(gaps - 10, 25)
    expected = len(gaps) * probability * (1 - probability) ** np.arange(26)
    expected[25] /= probability
    statistic = float(np.sum((np.bincount(beyond, minlength=26) - expected) ** 2 / expected))
    assert FALSE_ALARM / 2 < stats.chi2.sf(statistic, 25) < 1 - FALSE_ALARM / 2


def test_a_gate_that_opens_within_the_dead_time_stays_shut_to_its_end():
    """Dead for 100.2 ns, clicks spread over the gate: the tenth gate opens too early for all of them."""
    gaps = np.diff(GatedBench(dark_rate_hz=1e8, dead_time_ns=100.2).read(0.02)[0])
    assert gaps.min() == 11


def test_afterpulses_come_in_later_gates_with_the_probability_of_a_release_there():
    """Trapped with p = 0.3, released within 50 ns or so: what meets no gate is lost (chi-squared by gate)."""
    trapped, decay_ps = 0.3, 50_000.0
    bench = GatedBench(
        dark_rate_hz=0.0,
        afterpulse_probability=trapped,
        afterpulse_time_us=decay_ps * 1e-6,
        shift_ps=MIDDLE_PS,
    ).lit(attenuation_db=30.0)
    gates, _, origins = bench.read(20.0)
    after = np.flatnonzero(origins == sampling.AFTERPULSE)
    behind = gates[after] - gates[after - 1]
    first = after[origins[after - 1] == sampling.SIGNAL]
    mothers = np.sum(origins[:-1] == sampling.SIGNAL)
    # from the end of the dead time of a click in the middle of its gate to the beginning of the tenth gate and later
    begin_ps = np.arange(10, 60) * PERIOD_PS - WIDTH_PS / 2 - 95_000.0
    chances = trapped * (np.exp(-begin_ps / decay_ps) - np.exp(-(begin_ps + WIDTH_PS) / decay_ps))
    # a photon's click in between hides one in a thousand; twice as many may be missing
    expected = mothers * chances.sum()
    assert within(len(first), expected, expected**0.5 + 2e-3 * expected)
    of_first = behind[np.isin(after, first)]
    counted = np.bincount(np.minimum(of_first - 10, 20), minlength=21)
    shares = np.append(chances[:20], chances[20:].sum()) / chances.sum()
    statistic = float(np.sum((counted - len(first) * shares) ** 2 / (len(first) * shares)))
    assert stats.chi2.sf(statistic, 20) > FALSE_ALARM
    law = bench.twin.leaving("detectors.1")
    assert isinstance(law, ClickProcess)
    assert law.seen_afterpulse_probability == pytest.approx(chances.sum(), rel=0.01)


def test_the_count_rate_is_that_of_the_tags():
    """What the detector's own counter says, from the law of counts, and the number of tags in the same light."""
    bench = GatedBench(seed=2, dark_rate_hz=1e5, dead_time_ns=1000.0, afterpulse_probability=0.05).lit(7.0)
    tags = len(bench.read(1.0)[0])
    counted_hz = bench.twin.handle("detectors").sense("count_rate_hz", 1.0)
    assert within(counted_hz, tags, (2.0 * tags) ** 0.5)
    assert counted_hz != tags


def test_clicks_do_not_depend_on_how_a_span_is_read():
    whole, parts = GatedBench(dark_rate_hz=1e6).lit(), GatedBench(dark_rate_hz=1e6).lit()
    once = whole.read(0.01)[0]
    assert np.array_equal(once, np.concatenate([parts.read(0.001)[0] for _ in range(10)]))
    assert len(once) > 10_000


def test_without_a_trigger_there_are_no_gates_and_no_clicks():
    bench = GatedBench(dark_rate_hz=1e6).lit()
    bench.play(square(MIDDLE_PS), None)
    assert len(bench.read(0.01)[0]) == 0
    assert bench.twin.leaving("detectors.1") is None
    assert bench.twin.leaving("voa.out") is not DARK


def test_triggers_that_make_no_regular_gates_are_refused():
    bench = GatedBench()
    bench.play(None, np.concatenate([square(), square(), np.full(160, -127, np.int8)]))
    with pytest.raises(ValueError, match="irregular"):
        bench.twin.leaving("detectors.1")
    bench.play(None, np.array([127, -127] * 4, np.int8))
    with pytest.raises(ValueError, match="gates of 1000 ps do not fit a trigger of 125 ps"):
        bench.twin.leaving("detectors.1")
    with pytest.raises(ValueError, match="gate_edge_ps"):
        GatedBench(gate_edge_ps=600.0)
