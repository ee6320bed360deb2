"""Play of the polarization controller's squeezers."""

import numpy as np
import pytest

from sim_devices.twin.components.polarization_optics import (
    PolarizationController,
    PolarizationControllerParameters,
)
from sim_devices.twin.streams import KeyedStream


def controller(play_v):
    return PolarizationController(
        PolarizationControllerParameters(v_pi_v=1.4, hysteresis_v=play_v), KeyedStream(1).child("squeezers")
    )


def settle(squeezers, *settings):
    for volts in settings:
        value = squeezers.checked("voltages_v", (volts, 0.0, 0.0, 0.0))
    return value


def test_a_squeezer_lags_behind_by_its_play_and_remembers_from_where_it_came():
    squeezers = controller(0.1)
    assert settle(squeezers, 1.0).followed[0] == pytest.approx(0.9)
    assert settle(squeezers, 0.95).followed[0] == pytest.approx(0.9)
    assert settle(squeezers, 0.5).followed[0] == pytest.approx(0.6)


def test_what_is_approached_from_below_by_more_than_twice_the_play_is_repeatable():
    ways = [(2.0, 0.5, 0.75), (-3.0, 0.5, 0.75), (0.5, 0.75)]
    assert np.allclose([settle(controller(0.1), *way).followed[0] for way in ways], 0.65)


def test_without_play_it_follows_at_once():
    assert settle(controller(0.0), 1.0, 0.3).followed[0] == 0.3
