"""Birefringence, its drift, and the controller that undoes it."""

import numpy as np
import pytest

from sim_devices.twin.polarization import (
    PolarizationDrift,
    jones_of,
    phase_state,
    random_rotation,
    retarder,
)
from sim_devices.twin.streams import KeyedStream
from tests.physics.ji_bench import JiBench


def test_drift_grows_as_the_root_of_time():
    """Each component of a small rotation vector is normal with variance n step^2; 400 walks, 1200 components."""
    steps, step_rad = 300, 1e-4
    ends = np.array([PolarizationDrift(KeyedStream(k), step_rad).rotation(steps) for k in range(400)])
    components = 2.0 * ends[:, 1:] / (step_rad * steps**0.5)
    # standard error of the standard deviation 0.02; five of them, false alarm below 1e-6
    assert components.std() == pytest.approx(1.0, abs=0.1)
    assert abs(components.mean()) < 5.0 / 1200**0.5


def test_drift_is_a_function_of_the_step_alone():
    forward, jumping = (PolarizationDrift(KeyedStream(7), 0.01) for _ in range(2))
    walked = [forward.rotation(step) for step in range(0, 5000, 500)]
    jumped = [jumping.rotation(step) for step in reversed(range(0, 5000, 500))][::-1]
    assert np.array_equal(walked, jumped)
    assert np.allclose(np.linalg.norm(walked, axis=1), 1.0)


def test_neighbouring_steps_are_near_also_across_a_block():
    drift = PolarizationDrift(KeyedStream(7), 0.01)
    for step in (10, 1023, 1024, 2047, 2048):
        cosine = abs(float(np.dot(drift.rotation(step), drift.rotation(step + 1))))
        assert 0.0 < 1.0 - cosine < 1e-3


def test_rotations_are_unitary_and_cover_the_sphere_evenly():
    generator = np.random.default_rng(3)
    matrices = [jones_of(random_rotation(generator)) for _ in range(500)]
    for matrix in matrices[:20]:
        assert np.allclose(matrix @ matrix.conj().T, np.eye(2))
    kept = [abs(np.vdot(phase_state(0.0), matrix @ phase_state(0.0))) ** 2 for matrix in matrices]
    # uniform in [0, 1]: standard error 0.013; five of them
    assert np.mean(kept) == pytest.approx(0.5, abs=0.065)


def test_a_half_wave_plate_turns_linear_light_by_twice_its_angle():
    turned = retarder(np.pi, 22.5) @ np.array([1.0, 0.0])
    assert abs(np.vdot(phase_state(0.0), turned)) == pytest.approx(1.0)
    circular = retarder(np.pi / 2, 45.0) @ np.array([1.0, 0.0])
    assert abs(circular[0]) == pytest.approx(abs(circular[1]))
    assert abs(np.vdot(phase_state(0.0), circular)) ** 2 == pytest.approx(0.5)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_controller_undoes_any_fibre(seed: int):
    bench = JiBench(seed=seed)
    assert bench.error() > 0.02
    assert bench.align() == pytest.approx(0.009564, abs=3e-4)
    voltages_v = bench.twin.handle("polarization_controller").setting("voltages_v")
    assert isinstance(voltages_v, tuple)
    assert max(map(abs, voltages_v)) < 5.0
