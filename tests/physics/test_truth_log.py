"""The truth log tells for every tag where it came from, and scores an analysis with it."""

import numpy as np

from sim_devices.bench import Bench
from sim_devices.twin import sampling
from sim_devices.twin.truth import TRUTH
from tests.physics.clason_bench import TESTBED, ClasonBench, closed_form


def test_every_tag_that_was_read_has_its_origin(tmp_path):
    bench = ClasonBench(6, 45.0)
    close = bench.twin.log_truth(tmp_path)
    times_ps, channels = bench.read(10.0)
    close()
    truth = np.fromfile(tmp_path / "tagger.truth", dtype=TRUTH)
    assert np.array_equal(truth["time_ps"], times_ps)
    assert np.array_equal(truth["channel"], channels)
    found = np.bincount(truth["origin"], minlength=6)
    # noise and darks of the closed form within five standard deviations (false alarm 6e-7 each)
    form = closed_form()
    efficiency = sum(form.parts["detectors"]["efficiency"])
    noise, darks = 10.0 * efficiency * form.noise_hz(6, 45.0) / 4, 10.0 * 62.0
    assert abs(found[sampling.CROSSTALK] - noise) < 5.0 * noise**0.5 + 0.005 * noise
    assert found[sampling.RAMAN] == found[sampling.STRAY] == 0
    assert abs(found[sampling.DARK_COUNT] - darks) < 5.0 * darks**0.5
    assert found[sampling.AFTERPULSE] == 0
    assert found[sampling.SIGNAL] > 50_000


def test_the_gate_keeps_pulses_and_a_twentieth_of_the_rest(tmp_path):
    """What a window of 1 ns out of 20 is good for, by the truth: all but 1e-4 of the pulses stay, 5 % of the noise."""
    bench = ClasonBench(1, 45.0)
    bench.align()
    close = bench.twin.log_truth(tmp_path)
    times_ps, channels = bench.read(20.0)
    close()
    origins = np.fromfile(tmp_path / "tagger.truth", dtype=TRUTH)["origin"]
    _, distances_ps = bench.slots_of(times_ps, channels)
    kept = np.abs(distances_ps) < 500.0
    assert kept[origins == sampling.SIGNAL].mean() > 0.9999
    noise = kept[origins == sampling.CROSSTALK]
    assert abs(noise.mean() - 0.05) < 5.0 * (0.05 * 0.95 / len(noise)) ** 0.5


def test_a_bench_logs_the_truth_on_request(tmp_path):
    with Bench(TESTBED, truth=tmp_path / "truth") as bench:
        bench.twin.handle("detectors").apply(bias_ua=(20.0,) * 4, trigger_mv=(100.0,) * 4, enabled=True)
        bench.tagger("bob.tagger").tagger.switch_input(on=True)
        bench.tagger("bob.tagger").tagger.read(bench.lab_time.advance_by(20 * 10**12))
    truth = np.fromfile(tmp_path / "truth" / "tagger.truth", dtype=TRUTH)
    # 62 darks a second over 20 s: five standard deviations
    assert abs(len(truth) - 1240) < 5.0 * 1240**0.5
    assert set(truth["origin"]) == {sampling.DARK_COUNT}
