"""Integrated coupled-power equations against the closed forms of inter-core Raman noise."""

import math

import numpy as np
import pytest

from sim_devices.twin.components.multicore_fibre import MulticoreFibre, MulticoreFibreParameters
from sim_devices.twin.coupled_power import hexagonal_coupling, integrate
from sim_devices.twin.light import Light, Line
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from tests.physics import closed_form
from tests.physics.ji_bench import TESTBED, JiBench

BETA, H, ALPHA_Q, ALPHA_C = 6.9e-8, 7e-7, 0.046, 0.0471


def two_cores(length_km: float, efficiency: float = BETA, h: float = H):
    return integrate(
        hexagonal_coupling(2, h),
        length_km,
        pump_per_km=ALPHA_C,
        scattered_per_km=ALPHA_Q,
        efficiency_per_km=efficiency,
    )


@pytest.mark.parametrize("length_km", [3.5, 25.0, 100.0])
def test_intercore_raman_noise_agrees_with_equations_6_and_7(length_km: float):
    found = two_cores(length_km)
    arguments = (length_km, BETA, H, ALPHA_Q, ALPHA_C)
    assert found.against[1, 0] == pytest.approx(closed_form.backward_icsrs(*arguments), rel=0.01)
    # eq. (6) takes both orders of scattering and coupling as alike; by 100 km that costs it 2 %
    assert found.along[1, 0] == pytest.approx(
        closed_form.forward_icsrs(*arguments), rel=0.01 if length_km < 50 else 0.02
    )


@pytest.mark.parametrize("length_km", [3.5, 25.0, 100.0])
def test_forward_noise_agrees_with_the_exact_sum(length_km: float):
    difference = ALPHA_Q - ALPHA_C
    exact = (
        BETA
        * math.exp(-ALPHA_Q * length_km)
        * -math.expm1(-2 * H * length_km)
        / 2
        * math.expm1(difference * length_km)
        / difference
    )
    assert two_cores(length_km).along[1, 0] == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("length_km", [3.5, 100.0])
def test_noise_within_a_core_agrees_with_the_formulas_of_one_fibre(length_km: float):
    found = two_cores(length_km, h=0.0)
    forward = BETA * (math.exp(-ALPHA_C * length_km) - math.exp(-ALPHA_Q * length_km)) / (ALPHA_Q - ALPHA_C)
    backward = BETA * -math.expm1(-(ALPHA_Q + ALPHA_C) * length_km) / (ALPHA_Q + ALPHA_C)
    assert found.along[0, 0] == pytest.approx(forward, rel=1e-6)
    assert found.against[0, 0] == pytest.approx(backward, rel=1e-6)
    assert found.along[1, 0] == 0.0


def test_crosstalk_is_the_tanh_of_coupling_times_length():
    found = two_cores(50.0, h=1e-3)
    assert found.through[1, 0] / found.through[0, 0] == pytest.approx(math.tanh(1e-3 * 50.0), rel=1e-9)


def test_coupling_conserves_power_and_knows_the_hexagon():
    coupling = hexagonal_coupling(7, 2.0)
    assert np.allclose(coupling.sum(axis=0), 0.0)
    assert [int(row.sum()) for row in (coupling > 0)] == [6, 3, 3, 3, 3, 3, 3]


def test_the_bench_shows_the_noise_of_equation_7_at_its_receiver():
    bench = JiBench()
    bench.launch(12.0)
    light = bench.twin.leaving("fibre.b1")
    assert isinstance(light, Light)
    numbers = closed_form.read_bench(TESTBED / "twin.toml")
    expected = numbers.raman_w_per_nm_and_w * 10**1.2 * 1e-3 * 10**-0.015
    assert light.noise_w_per_nm == pytest.approx(expected, rel=1e-3)
    assert bench.process("1").noise_hz == pytest.approx(closed_form.noise_hz(numbers, 12.0), rel=2e-3)


@pytest.mark.parametrize("output", ["b1", "a1"])
def test_a_fibre_of_one_core_scatters_as_the_formulas_of_one_fibre_say(output: str):
    """Carrier and quantum channel share the core, one way or against each other."""
    parameters = MulticoreFibreParameters(25.0, ALPHA_Q, ALPHA_C, (0.5,), 1.468, 0.0, BETA)
    fibre = MulticoreFibre(parameters, KeyedStream(1, ("fibre",)))
    carrier = Light(lines=(Line(1530e-9, 1e-3),))
    light = fibre.propagate({"a1": carrier}, Settings({}, {}), (output,))[output]
    assert isinstance(light, Light)
    forward = (math.exp(-ALPHA_C * 25.0) - math.exp(-ALPHA_Q * 25.0)) / (ALPHA_Q - ALPHA_C)
    backward = -math.expm1(-(ALPHA_Q + ALPHA_C) * 25.0) / (ALPHA_Q + ALPHA_C)
    expected = 1e-3 * 10**-0.1 * BETA * (forward if output == "b1" else backward)
    assert light.noise_w_per_nm == pytest.approx(expected, rel=1e-6)
    assert light.noise_shares.raman == pytest.approx(1.0)


def test_a_carrier_in_the_quantum_core_is_far_worse_than_one_beside_it():
    assert two_cores(3.5).against[0, 0] / two_cores(3.5).against[1, 0] == pytest.approx(
        1 / (H * 3.5), rel=0.5
    )
