"""The synthesizer's state, as a decoder behind it and its own polarimeter see it."""

import numpy as np
import pytest

from sim_devices.twin.components.polarization_synthesizer import jones_of_stokes
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.polarization import phase_state
from sim_devices.twin.twin import Twin


@pytest.fixture
def twin():
    components = {
        "laser": ComponentSpec("cw_laser"),
        "synthesizer": ComponentSpec("polarization_synthesizer"),
    }
    return Twin(Layout(1, components, (Link(PortAddress("laser", "out"), PortAddress("synthesizer", "in")),)))


@pytest.mark.parametrize(
    ("stokes", "state"),
    [
        ((1.0, 0.0, 0.0), np.array([1.0, 0.0])),
        ((-1.0, 0.0, 0.0), np.array([0.0, 1.0])),
        ((0.0, 1.0, 0.0), phase_state(0.0)),
        ((0.0, 0.0, 1.0), phase_state(np.pi / 2)),
        ((0.0, -1.0, 0.0), phase_state(np.pi)),
        ((0.0, 0.0, -1.0), phase_state(3 * np.pi / 2)),
    ],
)
def test_stokes_vectors_are_the_states_that_the_decoder_knows(stokes, state):
    assert abs(np.vdot(state, jones_of_stokes(stokes))) == pytest.approx(1.0, abs=1e-12)


def test_what_is_set_is_measured_and_nothing_in_the_dark(twin):
    synthesizer = twin.handle("synthesizer")
    synthesizer.apply(stokes=(0.6, 0.0, 0.8))
    assert [synthesizer.sense(quantity) for quantity in ("s1", "s3", "dop")] == [0.0, 0.0, 0.0]
    twin.handle("laser").apply(emission_on=True)
    measured = [synthesizer.sense(quantity) for quantity in ("s1", "s2", "s3", "dop")]
    assert measured == pytest.approx([0.6, 0.0, 0.8, 1.0])
    with pytest.raises(ValueError, match="no observable 's4'"):
        synthesizer.sense("s4")
