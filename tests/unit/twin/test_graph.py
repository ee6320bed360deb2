"""The wiring: routes through the switch, bystanders, rings, and what is computed again."""

import numpy as np
import pytest

from sim_devices.twin.light import Light
from tests.physics.ji_bench import JiBench


@pytest.fixture
def bench() -> JiBench:
    return JiBench()


def receiver_photons(bench: JiBench) -> float:
    light = bench.twin.arriving("filter.in")
    assert isinstance(light, Light)
    return float(light.train.mean_photons.max()) if light.train else 0.0


def test_light_passes_the_switch_twice(bench: JiBench):
    sent = bench.twin.arriving("fibre.a1")
    assert isinstance(sent, Light)
    assert sent.train is not None
    assert sent.train.mean_photons.max() == pytest.approx(0.523, rel=1e-3)
    loss_db = 10.0 * np.log10(0.523 / receiver_photons(bench))
    assert loss_db == pytest.approx(3.5 * 0.046 * 10 / np.log(10) + 2 * 0.15 + 0.5, abs=1e-3)


@pytest.mark.parametrize("connections", [set(), {(1, 33)}, {(2, 40)}, {(1, 34), (2, 40)}, {(1, 33), (3, 40)}])
def test_a_broken_route_gives_no_light(bench: JiBench, connections: set[tuple[int, int]]):
    bench.twin.handle("switch").apply(connections=connections)
    assert receiver_photons(bench) == 0.0


@pytest.mark.parametrize("core", [2, 3, 4, 5, 6, 7])
def test_another_core_has_another_loss(bench: JiBench, core: int):
    through_core_1 = receiver_photons(bench)
    bench.twin.handle("switch").apply(connections={(1, 32 + core), (1 + core, 40)})
    fans_db = [0.15, 0.25, 0.3, 0.2, 0.35, 0.3, 0.25]
    expected_db = 2.0 * (fans_db[core - 1] - fans_db[0])
    assert 10.0 * np.log10(through_core_1 / receiver_photons(bench)) == pytest.approx(expected_db, abs=1e-9)


def test_two_cores_in_a_row_lose_both_losses(bench: JiBench):
    once = receiver_photons(bench)
    bench.twin.handle("switch").apply(connections={(1, 33), (2, 35), (4, 40)})
    expected_db = 3.5 * 0.046 * 10 / np.log(10) + 2 * 0.3 + 0.5
    assert 10.0 * np.log10(once / receiver_photons(bench)) == pytest.approx(expected_db, abs=1e-9)


def test_a_ring_is_dark_and_does_not_hang(bench: JiBench):
    bench.twin.handle("switch").apply(connections={(2, 33), (3, 40)})
    assert receiver_photons(bench) == 0.0
    bench.twin.handle("switch").apply(connections={(2, 34), (3, 33), (4, 40)})
    assert receiver_photons(bench) == 0.0


def test_nothing_is_computed_twice_while_nothing_changes(bench: JiBench):
    first = bench.twin.leaving("decoder.z0")
    assert bench.twin.leaving("decoder.z0") is first
    bench.twin.lab_time.advance_by(10**9)
    assert bench.twin.leaving("decoder.z0") is first
    modulated = bench.twin.leaving("polarization_modulator.out")
    bench.twin.handle("alice_voa").apply(attenuation_db=21.0)
    assert bench.twin.leaving("decoder.z0") is not first
    assert bench.twin.leaving("polarization_modulator.out") is modulated


def test_drift_goes_on_with_lab_time_and_does_not_depend_on_questions():
    asked, silent = JiBench(), JiBench()
    for _ in range(30):
        asked.twin.lab_time.advance_by(3 * 10**12)
        asked.twin.leaving("fibre.b1")
    silent.twin.lab_time.advance_to(asked.twin.lab_time.now_ps())
    one, other = asked.twin.leaving("fibre.b1"), silent.twin.leaving("fibre.b1")
    before = JiBench().twin.leaving("fibre.b1")
    assert isinstance(one, Light)
    assert isinstance(other, Light)
    assert isinstance(before, Light)
    assert one.train is not None
    assert other.train is not None
    assert before.train is not None
    assert np.array_equal(one.train.amplitudes, other.train.amplitudes)
    assert not np.allclose(one.train.amplitudes, before.train.amplitudes, atol=1e-4)


def test_switch_refuses_impossible_connections(bench: JiBench):
    switch = bench.twin.handle("switch")
    for connections in ({(33, 1)}, {(1, 32)}, {(1, 65)}, {(1, 33), (1, 34)}, {(1, 33), (2, 33)}, 5):
        with pytest.raises(ValueError, match="connections"):
            switch.apply(connections=connections)
    assert switch.setting("connections") == {(1, 33), (2, 40)}


def test_switch_shows_the_power_at_its_ports(bench: JiBench):
    switch = bench.twin.handle("switch")
    into, out_of = switch.sense("port_power_w:1"), switch.sense("port_power_w:33")
    assert out_of == pytest.approx(into * 10**-0.05)
    assert switch.sense("port_power_w:34") == 0.0
    with pytest.raises(ValueError, match="port_power_w:99"):
        switch.sense("port_power_w:99")
