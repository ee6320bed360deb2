"""Every quantity that can be set: what is set is what the instrument then has, what cannot be set is not even said.

Driver and simulated instrument are strangers to each other; values are drawn, signals are found in the drivers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ophyd.utils import LimitError

from qdci_lab.config import load_testbed
from qdci_lab.errors import AcquisitionError, LocalProtocolError
from qdci_lab.signals import ControlledSignal
from tests.setting_values import allowed, assert_near, connections, ends, numbers, refused

TESTBED = load_testbed(Path(__file__).parents[2] / "configs" / "ji_mcf", "sim.toml")
SIGNALS = [
    (role, walk.dotted_name)
    for role, spec in TESTBED.devices.items()
    for walk in spec.driver.walk_components()
    if issubclass(walk.item.cls, ControlledSignal)
]
CHOICES = {
    ("classical.amplifier", "control_mode"): ("ALC", "ACC"),
    ("switch", "connections"): (),
    ("alice.oscilloscope", "trigger_source"): ("CHAN1", "CHAN2", "CHAN3", "CHAN4"),
    ("alice.oscilloscope", "trigger_slope"): ("POS", "NEG", "EITH"),
    ("alice.oscilloscope", "trigger_sweep"): ("AUTO", "TRIG", "SING"),
}
"""These have no limits, but values that there are."""

WHOLE = {("alice.oscilloscope", "acquisition_points")}
UNBOUNDED = {("alice.oscilloscope", "time_position")}
"""Any delay can be asked for; a microsecond either way is tried."""

NARROWER = {
    ("bob.detectors", "bias_voltage"): (0.0, 100.0),
    ("bob.detectors", "target_temperature"): (-80.0, 30.0),
}
"""The ranges of these are published by nobody. The simulated instrument has less than the driver allows."""

WAIT_S = 30.0
few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
every_signal = pytest.mark.parametrize(("role", "attribute"), SIGNALS)
every_limited_signal = pytest.mark.parametrize(
    ("role", "attribute"), [signal for signal in SIGNALS if signal not in {*CHOICES, *UNBOUNDED}]
)


@pytest.fixture(scope="module")
def devices(session) -> Any:
    """The devices, with waveforms loaded, without which the generator cannot play at any of its rates."""
    session.devices["alice.awg"].set(session.link.waveforms()).wait(WAIT_S)
    return session.devices


def test_the_signals_are_found():
    assert {role for role, _ in SIGNALS} == set(TESTBED.devices)
    assert len(SIGNALS) >= 40


@every_signal
def test_what_is_set_is_what_the_instrument_has(devices, role, attribute):
    device = devices[role]
    signal = getattr(device, attribute)
    before = signal.get()

    bounds = NARROWER.get((role, attribute)) or signal.limits
    if (role, attribute) in UNBOUNDED:
        bounds = (-1e-6, 1e-6)

    def set_and_ask(value: Any) -> None:
        signal.set(value).wait(WAIT_S)
        assert_near(signal, value, signal.last)
        assert_near(signal, value, signal.get())

    for value in ends(signal, bounds):
        set_and_ask(value)
    values = allowed(device, signal, bounds, CHOICES.get((role, attribute), ()))
    if (role, attribute) in WHOLE:
        values = st.integers(*map(int, bounds))
    few(given(value=values)(set_and_ask))()
    signal.set(before).wait(WAIT_S)


@every_limited_signal
def test_what_is_outside_the_limits_is_not_even_said(devices, log_of: Callable, role, attribute):
    device = devices[role]
    signal = getattr(device, attribute)
    before = signal.get()
    log = log_of(device)
    log.clear()

    @few
    @given(value=refused(signal, before))
    def try_to_set(value: Any) -> None:
        with pytest.raises(LimitError):
            signal.set(value)
        assert len(log) == 0

    try_to_set()
    assert signal.get() == before


@pytest.mark.parametrize("mode", ["", "alc", "AGC", "0", 0, None])
def test_a_control_mode_that_is_none_is_not_even_said(devices, log_of, mode):
    amplifier = devices["classical.amplifier"]
    log_of(amplifier).clear()
    with pytest.raises(LocalProtocolError, match="ALC, ACC"):
        amplifier.control_mode.set(mode)
    assert len(log_of(amplifier)) == 0


@few
@given(data=st.data())
def test_connections_that_no_matrix_makes_are_not_even_said(devices, log_of, data):
    switch = devices["switch"]
    ports = list(data.draw(connections(switch)))
    log_of(switch).clear()
    at = data.draw(st.integers(0, len(ports) - 1))
    port = data.draw(
        st.integers(max_value=-1) | st.integers(1, 32) | st.integers(min_value=65) | st.just(33.5)
    )
    twice = [33 if place in (at, (at + 1) % len(ports)) else 0 for place in range(len(ports))]
    for wrong in ([*ports[:at], port, *ports[at + 1 :]], ports[:at], [*ports, 0], twice):
        with pytest.raises(LocalProtocolError, match="switch_connections"):
            switch.connections.set(wrong)
    assert len(log_of(switch)) == 0


@few
@given(data=st.data())
def test_the_offset_shifts_the_limits_of_the_attenuation_with_it(devices, data):
    voa = devices["alice.voa"]
    voa.attenuation_offset.set(data.draw(numbers(-200.0, 200.0))).wait(WAIT_S)
    low, high = voa.attenuation.limits
    value = data.draw(numbers(low, high))
    voa.attenuation.set(value).wait(WAIT_S)
    assert_near(voa.attenuation, value, voa.attenuation.get())
    for wrong in (low - 0.001, high + 0.001):
        with pytest.raises(LimitError, match="alice_voa_attenuation"):
            voa.attenuation.set(wrong)
    voa.attenuation_offset.set(0.0).wait(WAIT_S)


@pytest.mark.parametrize(("role", "attribute"), NARROWER)
def test_a_value_that_the_instrument_silently_cuts_is_noticed(devices, role, attribute):
    signal = getattr(devices[role], attribute)
    before = signal.get()
    for bound, limit in zip(NARROWER[role, attribute], signal.limits, strict=True):
        if limit != bound:
            with pytest.raises(AcquisitionError, match=f"set to {limit} .* reports {bound}"):
                signal.set(limit).wait(WAIT_S)
    signal.set(before).wait(WAIT_S)


# When a setting is done, the light feels it


@pytest.mark.parametrize(
    ("role", "attribute", "value", "component", "setting", "felt"),
    [
        ("alice.awg", "amplitude_3", 0.625, "awg", "amplitude_v", lambda volts: volts[2] == 0.625),
        ("classical.amplifier", "output_power_setpoint", 17.5, "amplifier", "output_power_dbm", 17.5.__eq__),
        ("bob.polarization_controller", "voltage_2", -1.25, "polarization_controller", "voltages_v",
         lambda volts: volts[1] == -1.25),
        ("bob.detectors", "bias_voltage", 63.5, "detectors", "bias_v", 63.5.__eq__),
        ("switch", "connections", (40, *[0] * 31), "switch", "connections", frozenset({(1, 40)}).__eq__),
    ],
)  # fmt: skip
def test_a_setting_is_felt_when_it_is_done(bench, devices, role, attribute, value, component, setting, felt):
    signal = getattr(devices[role], attribute)
    before = signal.get()
    assert not felt(bench.twin.handle(component).setting(setting))
    signal.set(value).wait(WAIT_S)
    assert felt(bench.twin.handle(component).setting(setting))
    signal.set(before).wait(WAIT_S)


def test_a_filter_that_moves_slowly_has_arrived_when_the_setting_is_done(bench, devices):
    voa, light = devices["alice.voa"], bench.twin.handle("alice_voa")
    voa.attenuation.set(0.0).wait(WAIT_S)
    voa.shutter_open.set(1).wait(WAIT_S)
    voa.attenuation_speed.set(10.0).wait(WAIT_S)
    before_ps = bench.lab_time.now_ps()
    voa.attenuation.set(30.0).wait(WAIT_S)
    assert light.setting("attenuation_db") == 30.0
    assert 3.0 <= (bench.lab_time.now_ps() - before_ps) * 1e-12 < 3.1
    voa.make_safe().wait(WAIT_S)
    assert light.setting("shutter_open") is False
    voa.attenuation_speed.set(1000.0).wait(WAIT_S)


def test_a_laser_that_tunes_is_bright_again_when_the_setting_is_done(bench, devices):
    laser, light = devices["classical.laser"], bench.twin.handle("classical_laser")
    laser.emission.set(1).wait(WAIT_S)
    assert light.setting("emission_on") is True
    before_ps = bench.lab_time.now_ps()
    laser.wavelength.set(1549.32).wait(WAIT_S)
    assert light.setting("wavelength_nm") == pytest.approx(1549.32, abs=1e-6)
    assert light.setting("emission_on") is True
    assert 1.0 <= (bench.lab_time.now_ps() - before_ps) * 1e-12 < 1.1
    laser.make_safe().wait(WAIT_S)
    assert light.setting("emission_on") is False
