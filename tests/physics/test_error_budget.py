"""The error budget that is read from the tags of four acquisitions, against the origin of every click."""

import numpy as np
import pytest
from scipy import stats

from qdci_lab.analysis.detector_corrections import estimate_afterpulsing
from qdci_lab.analysis.error_budget import Background, Detections, estimate_error_budget
from sim_devices.twin.sampling import AFTERPULSE, CONTINUOUS, DARK_COUNT, SIGNAL
from tests.physics.ji_bench import JiBench

FALSE_ALARM = 1e-3
Z_INPUTS = (1, 2)
DEAD_S, HORIZON_S, PERIOD_S = 105e-9, 8e-6, 10e-9


@pytest.fixture(scope="module")
def bench() -> JiBench:
    bench = JiBench(seed=5, detectors={"afterpulse_probability": 0.02, "dark_rate_hz": 3000.0})
    bench.align()
    bench.launch(12.0)
    return bench


def background(bench: JiBench, span_s: float, *, classical: bool) -> Background:
    """Clicks of the key basis with Alice's shutter closed."""
    bench.twin.handle("alice_voa").apply(shutter_open=False)
    bench.twin.handle("launch_voa").apply(shutter_open=classical)
    bench.read(1e-3)
    _, channels = bench.read(span_s)
    return Background(float(np.isin(channels, Z_INPUTS).sum()), span_s)


def test_every_cause_is_found_where_the_twin_has_put_it(bench: JiBench):
    dark, raman = background(bench, 2.0, classical=False), background(bench, 2.0, classical=True)
    bench.twin.handle("alice_voa").apply(shutter_open=True)
    bench.read(1e-3)
    until_ps = bench.twin.lab_time.advance_by(10**12)
    times_ps, channels, origins = bench.twin.tagger("tagger").read_with_origin(until_ps)
    slots = bench.slots_of(times_ps, channels)
    sifted = np.isin(channels, Z_INPUTS) & bench.pattern.is_z[slots]
    wrong = sifted & (channels != bench.pattern.right_channel[slots])
    afterpulsing = [
        estimate_afterpulsing(times_ps[channels == number], DEAD_S, HORIZON_S, period_s=PERIOD_S)
        for number in Z_INPUTS
    ]
    live_share = 1.0 - DEAD_S * np.isin(channels, Z_INPUTS).sum() / len(Z_INPUTS)
    budget = estimate_error_budget(
        Detections(
            float(sifted.sum()), float(wrong.sum()), 1.0, float(bench.pattern.is_z.mean()), live_share
        ),
        dark=dark,
        lit={"raman": raman},
        afterpulse_probability=min(afterpulsing, key=lambda found: found.standard_error),
    )
    truth = {
        cause: np.isin(origins[wrong], origin).sum() / sifted.sum()
        for cause, origin in (
            ("dark counts", DARK_COUNT), ("raman", CONTINUOUS), ("afterpulses", AFTERPULSE), ("misalignment", SIGNAL),
        )
    }  # fmt: skip
    for cause, part in budget.parts.items():
        counted_error = (truth[cause] / sifted.sum()) ** 0.5
        # Clicks that come within a dead time, or with afterpulses of their own, are second order: 5 % of a part.
        allowed = stats.norm.isf(FALSE_ALARM / 8) * np.hypot(part.standard_error, counted_error)
        assert abs(part.value - truth[cause]) < allowed + 0.05 * truth[cause], cause
    assert sum(part.value for part in budget.parts.values()) == pytest.approx(budget.qber.value)
    assert budget.parts["raman"].value > 10 * budget.parts["raman"].standard_error
