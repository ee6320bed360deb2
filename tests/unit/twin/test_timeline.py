"""Settings as functions of lab time."""

import numpy as np
import pytest

from sim_devices.twin.timeline import RAMP_STEPS, Timeline, same_value


def test_a_value_holds_from_its_time_on():
    timeline = Timeline(0.0)
    timeline.set(1.0, from_ps=100, now_ps=50)
    assert timeline.at(99) == (0.0, 0, 100)
    assert timeline.at(100) == (1.0, 100, None)


def test_a_new_value_replaces_what_was_planned():
    timeline = Timeline(0.0)
    timeline.set(1.0, from_ps=100, now_ps=0)
    timeline.set(2.0, from_ps=60, now_ps=50)
    assert timeline.at(59)[0] == 0.0
    assert timeline.at(1000) == (2.0, 60, None)


def test_the_same_value_again_is_no_change():
    timeline = Timeline((np.arange(3, dtype=np.int8), None))
    timeline.set((np.arange(3, dtype=np.int8), None), from_ps=70, now_ps=70)
    assert timeline.at(80)[1:] == (0, None)
    timeline.set((np.ones(3, dtype=np.int8), None), from_ps=70, now_ps=70)
    assert timeline.at(80)[1] == 70


def test_a_value_may_be_replaced_at_the_same_instant():
    timeline = Timeline(0.0)
    timeline.set(1.0, from_ps=10, now_ps=10)
    timeline.set(2.0, from_ps=10, now_ps=10)
    assert timeline.at(10) == (2.0, 10, None)
    timeline.set(0.0, from_ps=10, now_ps=10)
    assert timeline.at(10) == (0.0, 0, None)


def test_a_ramp_is_linear_and_arrives():
    timeline = Timeline(10.0)
    timeline.ramp(20.0, from_ps=1000, over_ps=6400, now_ps=0)
    assert timeline.at(999)[0] == 10.0
    assert timeline.at(7400) == (20.0, 7400, None)
    values = [timeline.at(time_ps)[0] for time_ps in range(1000, 7400, 6400 // RAMP_STEPS)]
    expected = 10.0 + (np.arange(RAMP_STEPS) + 0.5) * 10.0 / RAMP_STEPS
    assert values == pytest.approx(expected)


def test_an_interrupted_ramp_starts_from_where_it_is():
    timeline = Timeline((0.0, 4.0))
    timeline.ramp((10.0, 4.0), from_ps=0, over_ps=1000, now_ps=0)
    reached = timeline.at(500)[0]
    assert reached == pytest.approx((5.0, 4.0), abs=0.35)
    timeline.ramp((0.0, 0.0), from_ps=500, over_ps=1000, now_ps=500)
    assert timeline.at(500)[0] == pytest.approx(reached, abs=0.35)
    assert timeline.at(1500)[0] == (0.0, 0.0)


def test_only_numbers_are_ramped():
    timeline = Timeline(True)
    with pytest.raises(ValueError, match="only numbers"):
        timeline.ramp(False, from_ps=0, over_ps=100, now_ps=0)
    assert timeline.at(50)[0] is True


def test_the_past_can_be_forgotten_but_not_the_present():
    timeline = Timeline(0.0)
    for time_ps in (10, 20, 30):
        timeline.set(float(time_ps), from_ps=time_ps, now_ps=time_ps)
    timeline.forget_before(25)
    assert timeline.at(25) == (20.0, 20, 30)
    assert timeline.at(30)[0] == 30.0


def test_equality_tells_true_from_one():
    assert not same_value(True, 1.0)
    assert same_value((1.0, "ALC"), (1.0, "ALC"))
