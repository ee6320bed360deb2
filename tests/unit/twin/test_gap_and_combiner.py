"""The gap in a full band's transmitter, and two sets of detectors on one set of cables."""

from dataclasses import replace

import numpy as np
import pytest

from sim_devices.twin.components.detection import (
    PulseCombiner,
    PulseCombinerParameters,
    SinglePhotonDetectors,
    SinglePhotonDetectorsParameters,
)
from sim_devices.twin.components.passive import BandStopFilter, BandStopFilterParameters
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.light import Light, Line
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

STREAM = KeyedStream(4, ("part",))
NOTHING_SET = Settings({}, {})


def test_the_gap_takes_carriers_in_it_and_the_floor_and_leaves_the_rest():
    gap = BandStopFilter(BandStopFilterParameters(1560.61, 1.6, 60.0, insertion_loss_db=3.0), STREAM)
    lines = tuple(Line(nm * 1e-9, 1e-3) for nm in (1550.0, 1559.9, 1561.3, 1561.5))
    light = gap.propagate({"in": Light(None, lines, 1e-7, 35.0)}, NOTHING_SET, ("out",))["out"]
    assert isinstance(light, Light)
    half = 10.0**-0.3
    assert [line.power_w for line in light.lines] == pytest.approx(
        [1e-3 * half, 1e-9 * half, 1e-9 * half, 1e-3 * half]
    )
    assert light.noise_w_per_nm == pytest.approx(1e-13 * half)
    assert light.noise_band_nm == 35.0


def clicks(**changes) -> ClickProcess:
    process = ClickProcess(STREAM, None, np.zeros(1), 0.0, 300.0, 50_000, 0.0, 1.0, 40.0, 2e4)
    return replace(process, **changes)


def combined(a: ClickProcess | None, b: ClickProcess | None):
    combiner = PulseCombiner(PulseCombinerParameters(), STREAM)
    assert combiner.needs("3", NOTHING_SET).inputs == ("a3", "b3")
    return combiner.propagate({"a3": a, "b3": b}, NOTHING_SET, ("3",))["3"]


def test_one_set_alone_passes_unchanged_whichever_it_is():
    """The very same law, so that its table is made once."""
    one, silent = clicks(), clicks(dark_hz=0.0)
    assert combined(one, None) is one
    assert combined(None, one) is one
    assert combined(silent, one) is one
    assert combined(one, silent) is one
    assert combined(None, silent) is None


def test_of_two_that_click_the_fainter_comes_as_dark_counts_of_the_other():
    bright, faint = clicks(noise_hz=5e4), clicks(dark_hz=2400.0, dead_ps=10_000_000)
    both = combined(faint, bright)
    assert isinstance(both, ClickProcess)
    assert (both.noise_hz, both.dead_ps) == (5e4, 50_000)
    assert both.dark_hz == pytest.approx(300.0 + 2400.0 / (1.0 + 2400.0 * 1e-5))


@pytest.mark.parametrize(("biased", "rate_hz"), [(True, 600.0), (False, 0.0)])
def test_diodes_without_bias_at_the_start_are_silent_until_they_get_one(biased, rate_hz):
    parameters = SinglePhotonDetectorsParameters(
        4, 0.1, 600.0, 1e4, 0.0, 1.0, 150.0,
        nominal_bias_v=64.0, breakdown_bias_v=60.0, nominal_temperature_c=-40.0, biased_at_start=biased,
    )  # fmt: skip
    diodes = SinglePhotonDetectors(parameters, STREAM)

    def dark_hz(**settings: float) -> float:
        held = {**diodes.defaults, **settings}
        found = diodes.propagate({}, Settings(held, dict.fromkeys(held, 0)), ("1",))["1"]
        assert isinstance(found, ClickProcess)
        return found.photoelectron_hz

    assert dark_hz(temperature_c=-40.0) == rate_hz
    assert dark_hz(temperature_c=-40.0, bias_v=64.0) == 600.0
