"""The four-core bench: noise in the quantum core against the closed form for its two neighbours."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sim_devices.config import load_twin
from sim_devices.twin.components.multicore_fibre import MulticoreFibre, MulticoreFibreParameters
from sim_devices.twin.coupled_power import ring_coupling
from sim_devices.twin.light import Light, Line
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from tests.physics import closed_form

TESTBED = Path(__file__).parents[2] / "configs" / "wu_laquila"
NUMBERS = tomllib.loads((TESTBED / "twin.toml").read_text(encoding="utf-8"))["components"]["fibre"]
LAUNCHED_W = 1e-3 * 10**1.95


@pytest.fixture(scope="module")
def fibre() -> MulticoreFibre:
    parameters = dict(load_twin(TESTBED).components["fibre"].parameters)
    return MulticoreFibre(MulticoreFibreParameters(**parameters), KeyedStream(1, ("fibre",)))


def noise_w_per_nm(fibre: MulticoreFibre, output: str, *lit: str) -> float:
    """Inside the fibre's end, with 19.5 dBm inside each of the `lit` ports."""
    fan = 10 ** (-NUMBERS["fan_loss_db"][0] / 10)
    carrier = Light(lines=(Line(1550e-9, LAUNCHED_W / fan),))
    light = fibre.propagate(dict.fromkeys(lit, carrier), Settings({}, {}), (output,))[output]
    assert isinstance(light, Light)
    return light.noise_w_per_nm / fan


@pytest.mark.parametrize("lit", ["b", "a"])
def test_two_neighbours_at_full_power_give_the_noise_of_the_closed_forms(fibre, lit):
    """Counter-propagating (b) by eq. (7), co-propagating (a) by eq. (6) of Ji et al., to 1 %; across adds none."""
    formula = closed_form.backward_icsrs if lit == "b" else closed_form.forward_icsrs
    # the formula for unequal attenuations, in the limit
    expected = 2 * LAUNCHED_W * formula(25.2, 3e-9, 1e-6, 0.0461, 0.0461 * (1 + 1e-6))
    found = noise_w_per_nm(fibre, "b1", f"{lit}2", f"{lit}3", f"{lit}4")
    assert found == pytest.approx(expected, rel=0.01)
    assert noise_w_per_nm(fibre, "b1", f"{lit}3") < 1e-4 * expected
    if lit == "b":
        assert 10 * math.log10(found / 1e-3) == pytest.approx(-100.8, abs=0.1)


def test_neighbours_on_a_ring_couple_and_opposite_ones_do_not():
    coupling = ring_coupling(4, 2.0)
    assert np.allclose(coupling.sum(axis=0), 0.0)
    assert coupling[0].tolist() == [-4.0, 2.0, 0.0, 2.0]
    assert ring_coupling(2, 2.0).tolist() == [[-2.0, 2.0], [2.0, -2.0]]
    assert ring_coupling(1, 2.0).tolist() == [[0.0]]
