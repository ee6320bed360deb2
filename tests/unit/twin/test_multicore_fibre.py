"""Light in the fibre, either way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sim_devices.twin.components.multicore_fibre import MulticoreFibre, MulticoreFibreParameters
from sim_devices.twin.light import Light, Line
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from tests.physics.ji_bench import ji_layout

STEP_0 = Settings({}, {})


@pytest.fixture(scope="module")
def fibre() -> MulticoreFibre:
    parameters: dict[str, Any] = dict(ji_layout().components["fibre"].parameters)
    return MulticoreFibre(MulticoreFibreParameters(**parameters), KeyedStream(1, ("fibre",)))


def carrier(jones: Sequence[complex]) -> Light:
    return Light(lines=(Line(1550e-9, 1e-3, np.array(jones, np.complex128)),))


def through(fibre: MulticoreFibre, source: str, target: str, light: Light) -> Light:
    found = fibre.propagate({source: light}, STEP_0, (target,))[target]
    assert isinstance(found, Light)
    return found


def vector(light: Light) -> np.ndarray:
    jones = light.lines[0].jones
    assert jones is not None
    return jones


def test_birefringence_is_reciprocal(fibre: MulticoreFibre):
    """A fibre is described by the transposed matrix from its other end: y . (U x) = x . (U^T y)."""
    x, y = [0.6, 0.8j], [0.8, -0.6]
    there = vector(through(fibre, "a1", "b1", carrier(x)))
    back = vector(through(fibre, "b1", "a1", carrier(y)))
    assert np.dot(y, there) == pytest.approx(np.dot(x, back))


def test_cores_turn_polarization_each_in_its_way(fibre: MulticoreFibre):
    one, other = (vector(through(fibre, f"a{core}", f"b{core}", carrier([1.0, 0.0]))) for core in (1, 2))
    assert abs(np.vdot(one, other)) < 0.999


def test_loss_is_that_of_the_core_and_its_ends(fibre: MulticoreFibre):
    power_w = through(fibre, "a5", "b5", carrier([1.0, 0.0])).line_power_w
    assert power_w == pytest.approx(1e-3 * np.exp(-0.0471 * 3.5) * 10**-0.07, rel=1e-5)


def test_crosstalk_reaches_neighbours_only(fibre: MulticoreFibre):
    """7e-7 /km x 3.5 km is -56.1 dB between neighbours; core 2 has the centre and cores 3 and 7 beside it."""
    strays_w = {}
    for core in (1, 3, 4, 5, 7):
        light = fibre.propagate({"a2": carrier([1.0, 0.0])}, STEP_0, (f"b{core}",))[f"b{core}"]
        assert isinstance(light, Light)
        strays_w[core] = light.line_power_w
    expected_w = 1e-3 * np.exp(-0.0471 * 3.5) * 7e-7 * 3.5
    assert strays_w[1] == pytest.approx(expected_w * 10**-0.04, rel=1e-3)
    assert strays_w[3] == pytest.approx(expected_w * 10**-0.055, rel=1e-3)
    assert strays_w[4] < 1e-4 * strays_w[3]
    assert strays_w[5] < 1e-4 * strays_w[3]


def test_rayleigh_scattering_sends_carriers_back(fibre: MulticoreFibre):
    """In the same core S/(2 a) (1 - exp(-2 a L)), in a neighbour less by about the crosstalk."""
    same = fibre.propagate({"b2": carrier([1.0, 0.0])}, STEP_0, ("b2",))["b2"]
    beside = fibre.propagate({"b2": carrier([1.0, 0.0])}, STEP_0, ("b1",))["b1"]
    assert isinstance(same, Light)
    assert isinstance(beside, Light)
    share = 4.5e-5 / (2 * 0.0471) * -np.expm1(-2 * 0.0471 * 3.5)
    assert same.line_power_w == pytest.approx(1e-3 * share * 10**-0.05, rel=1e-4)
    assert 0.3 < beside.line_power_w / same.line_power_w / (7e-7 * 3.5) < 3.0


def test_noise_floors_cross_over_like_carriers(fibre: MulticoreFibre):
    floor = Light(noise_w_per_nm=1e-6, noise_band_nm=35.0)
    light = through(fibre, "a2", "b1", floor)
    assert light.noise_w_per_nm == pytest.approx(
        1e-6 * np.exp(-0.0471 * 3.5) * 7e-7 * 3.5 * 10**-0.04, rel=1e-3
    )
    assert light.noise_band_nm == 35.0


def test_the_delay_is_that_of_the_group_index(fibre: MulticoreFibre):
    assert fibre.delay_ps == pytest.approx(17.14e6, rel=1e-3)
