"""Every model: its driver against its simulator, over its own wire, on a bench that has each of them once.

What the main testbed has is set and read back there; the others here. Driver and simulator are strangers to each other.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ophyd.utils import LimitError

from qdci_lab.clock import LabClock
from qdci_lab.config import load_testbed
from qdci_lab.errors import InstrumentError, LabError, LocalProtocolError
from qdci_lab.signals import ControlledSignal
from qdci_lab.wire.message import Command, Query
from sim_devices.bench import Bench
from tests.setting_values import allowed, assert_near, ends, refused

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "tests" / "testbeds" / "every_model"
SPECS = load_testbed(TESTBED, "sim.toml").devices
ELSEWHERE = {spec.driver for spec in load_testbed(ROOT / "configs" / "ji_mcf", "sim.toml").devices.values()}
SIGNALS = [
    (role, walk.dotted_name)
    for role, spec in SPECS.items()
    if spec.driver not in ELSEWHERE
    for walk in spec.driver.walk_components()
    if issubclass(walk.item.cls, ControlledSignal)
]
CHOICES: Mapping[tuple[str, str], Sequence[Any]] = {
    ("general_photonics_mpc202", "scrambling"): ("OFF", "DISC", "TRI", "RAYL", "TORN"),
    ("general_photonics_mpc202", "tornado_type"): (0, 1),
    ("keysight_infiniium", "trigger_source"): ("CHAN1", "CHAN2", "CHAN3", "CHAN4"),
    ("keysight_infiniium", "trigger_slope"): ("POS", "NEG", "EITH"),
    ("keysight_infiniium", "trigger_sweep"): ("AUTO", "TRIG", "SING"),
    ("polatis_6000_tl1", "connections"): (),
}
"""These have no limits, or are none of the numbers between them."""

WHOLE = {("keysight_infiniium", "acquisition_points"), ("thorlabs_pm100d", "averages")}
DIRECTION = ("general_photonics_psy201", "setpoint")
UNBOUNDED = {("keysight_infiniium", "time_position")}
WAIT_S = 60.0
few = settings(max_examples=8, deadline=None, derandomize=True, database=None)
every_signal = pytest.mark.parametrize(("role", "attribute"), SIGNALS)
every_limited_signal = pytest.mark.parametrize(
    ("role", "attribute"), [signal for signal in SIGNALS if signal not in {*CHOICES, *UNBOUNDED}]
)
every_model = pytest.mark.parametrize("role", SPECS)


def connected(bench: Bench, clock: LabClock, role: str, **options: Any) -> Any:
    spec = SPECS[role]
    address = bench.devices[role].address
    device = spec.driver(address, name=role, clock=clock, **{**spec.options, **options})
    try:
        device.connect()
    except LabError:
        device.disconnect()
        raise
    return device


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(TESTBED) as running:
        running.twin.handle("light").apply(emission_on=True)
        yield running


@pytest.fixture(scope="module")
def clock(bench: Bench) -> Iterator[LabClock]:
    with closing(LabClock(bench.control_address)) as clock:
        yield clock


@pytest.fixture(scope="module")
def devices(bench: Bench, clock: LabClock) -> Iterator[Mapping[str, Any]]:
    found = {role: connected(bench, clock, role) for role in SPECS}
    found["oz_odl650"].home().wait(WAIT_S)
    yield found
    for device in found.values():
        device.disconnect()


@every_model
def test_it_is_read_and_says_what_it_is(devices, role):
    device = devices[role]
    device.trigger().wait(WAIT_S)
    assert device.IDENTITY_CONTAINS in device.identity.get()
    values = {**device.read(), **device.read_configuration()}
    keys = {**device.describe(), **device.describe_configuration()}
    assert values.keys() == keys.keys()
    for name, entry in values.items():
        assert np.shape(entry["value"]) == tuple(keys[name]["shape"]), name
        assert isinstance(entry["value"], str) or np.all(np.isfinite(np.asarray(entry["value"], float))), name


def test_the_signals_are_found():
    assert (
        len({role for role, _ in SIGNALS}) == len(SPECS) - len(ELSEWHERE) + 1
    )  # the tagger is not among these
    assert len(SIGNALS) >= 45


def values_of(device: Any, role: str, attribute: str) -> st.SearchStrategy[Any]:
    """Values that a quantity takes, its ends among them."""
    signal = getattr(device, attribute)
    bounds = (-1e-6, 1e-6) if (role, attribute) in UNBOUNDED else signal.limits
    if (role, attribute) == DIRECTION:
        angles = st.tuples(st.floats(0.0, math.pi), st.floats(-math.pi, math.pi))
        return angles.map(
            lambda one: (math.cos(one[0]), *(math.sin(one[0]) * f(one[1]) for f in (math.cos, math.sin)))
        )
    if (role, attribute) in WHOLE:
        return st.integers(*map(int, bounds)) | st.sampled_from(bounds)
    return allowed(device, signal, bounds, CHOICES.get((role, attribute), ()))


@every_signal
def test_what_is_set_is_what_the_instrument_has(devices, role, attribute):
    device, signal = devices[role], getattr(devices[role], attribute)
    before = signal.get()

    def set_and_ask(value: Any) -> None:
        signal.set(value).wait(WAIT_S)
        assert_near(signal, value, signal.last)
        assert_near(signal, value, signal.get())

    if (role, attribute) not in {*CHOICES, DIRECTION}:
        for value in ends(signal, signal.limits):
            set_and_ask(value)
    few(given(value=values_of(device, role, attribute))(set_and_ask))()
    signal.set(before).wait(WAIT_S)


@every_limited_signal
def test_what_is_outside_the_limits_is_not_even_said(devices, role, attribute):
    device, signal = devices[role], getattr(devices[role], attribute)
    before = signal.get()
    device.connection.log.clear()

    def try_to_set(value: Any) -> None:
        with pytest.raises(LimitError):
            signal.set(value)
        assert len(device.connection.log) == 0

    few(given(value=refused(signal, before))(try_to_set))()
    assert np.all(signal.get() == np.asarray(before))


@pytest.mark.parametrize(("role", "attribute"), sorted({*WHOLE, *CHOICES}))
def test_a_value_that_is_none_of_the_choices_is_not_even_said(devices, role, attribute):
    device, signal = devices[role], getattr(devices[role], attribute)
    device.connection.log.clear()
    for value in (1.5, "", None):
        with pytest.raises((LocalProtocolError, LimitError), match=signal.name):
            signal.set(value)
    assert len(device.connection.log) == 0


# Safe states: light off, shutters closed, outputs off


@pytest.mark.parametrize(
    ("role", "attribute"),
    [
        ("coherent_mtp1000", "emission"),
        ("fiberlabs_edfa", "emission"),
        ("keysight_e36312a", "output"),
        ("keysight_n7714a", "emission"),
        ("keysight_n7764a", "shutter_open"),
        ("thorlabs_itc4001", "emission"),
    ],
)
def test_the_safe_state_switches_off_what_shines(devices, role, attribute):
    device, signal = devices[role], getattr(devices[role], attribute)
    signal.set(1).wait(WAIT_S)
    assert signal.get()
    device.make_safe().wait(WAIT_S)
    assert signal.last is False
    assert signal.get() is False


@every_model
def test_every_model_takes_the_order_to_be_safe(devices, role):
    devices[role].make_safe().wait(WAIT_S)
    devices[role].trigger().wait(WAIT_S)


# What the instruments refuse, they refuse in the driver's words


REFUSALS = {
    "coherent_mtp1000": (-113, "Undefined header"),
    "keysight_e36312a": (-113, "Undefined header"),
    "keysight_infiniium": (-113, "Undefined header"),
    "keysight_m8195a": (-113, "Undefined header"),
    "keysight_m8196a": (-113, "Undefined header"),
    "keysight_n7714a": (-113, "Undefined header"),
    "keysight_n7744a": (-113, "Undefined header"),
    "keysight_n7764a": (-113, "Undefined header"),
    "polatis_6000": (-113, "Undefined header"),
    "thorlabs_itc4001": (-113, "Undefined header"),
    "thorlabs_pm100d": (-113, "Undefined header"),
}


@pytest.mark.parametrize("role", REFUSALS)
def test_a_header_that_is_none_is_an_error_with_the_instrument_s_words(devices, role):
    device = devices[role]
    with pytest.raises(InstrumentError) as caught:
        device.connection.checked(Command(b":NO:SUCH:THING 1"))
    assert (caught.value.code, caught.value.text) == REFUSALS[role]
    assert caught.value.instrument == role
    device.connection.check_errors()


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("oz_dd100mc", b"XYZ"),
        ("oz_odl650", b"XYZ"),
        ("oz_epc400", b"XYZ"),
        ("fiberlabs_edfa", b"XYZ"),
        ("polatis_6000_tl1", b"XYZ::1:77:"),
    ],
)
def test_a_word_that_is_none_is_answered_so_that_the_driver_sees_it(devices, role, message):
    device = devices[role]
    spoken = device.connection.query(Query(message, bytes))
    assert any(mark in spoken for mark in (b"Error", b"!!", b"??", b"DENY"))
    device.connection.discard()
    device.trigger().wait(WAIT_S)


# What is felt on the bench behind them


def test_attenuator_and_power_meter_agree_about_the_light_between_them(devices):
    voa, meter = devices["keysight_n7764a"], devices["keysight_n7744a"]
    voa.shutter_open.set(1).wait(WAIT_S)
    powers_dbm = []
    for attenuation_db in (0.0, 10.0, 23.5):
        voa.attenuation.set(attenuation_db).wait(WAIT_S)
        powers_dbm.append(meter.power.get())
    light_dbm = 10.0 * math.log10(0.25)  # 0 dBm over four arms
    assert powers_dbm == pytest.approx([light_dbm, light_dbm - 10.0, light_dbm - 23.5], abs=0.02)


def test_the_serial_attenuator_is_seen_by_the_console(devices):
    voa, console = devices["oz_dd100mc"], devices["thorlabs_pm100d"]
    voa.attenuation.set(1.2).wait(WAIT_S)
    clear_dbm = console.power.get()
    voa.attenuation.set(21.2).wait(WAIT_S)
    assert console.power.get() == pytest.approx(clear_dbm - 20.0, abs=0.02)


def test_a_delay_line_that_is_not_homed_says_what_to_do():
    with (
        Bench(TESTBED, without=set(SPECS) - {"oz_odl650"}) as bench,
        closing(LabClock(bench.control_address)) as clock,
    ):
        line = connected(bench, clock, "oz_odl650")
        assert math.isnan(line.delay.get())
        with pytest.raises(InstrumentError, match=r"home\(\) the delay line first"):
            line.delay.set(1.0).wait(WAIT_S)
        line.home().wait(WAIT_S)
        assert line.delay.get() == 0.0
        line.disconnect()


def test_a_switch_that_wants_another_password_says_so(bench, clock):
    with pytest.raises(InstrumentError, match="polatis_6000_tl1"):
        connected(bench, clock, "polatis_6000_tl1", password="wrong")


@pytest.mark.parametrize("word_format", ["BYTE", "WORD"])
@pytest.mark.parametrize("streaming", [False, True])
def test_the_oscilloscope_gives_a_waveform_in_volts(bench, clock, word_format, streaming):
    scope = connected(
        bench, clock, "keysight_infiniium", channels=[1], word_format=word_format, streaming=streaming
    )
    scope.trigger().wait(WAIT_S)
    wave = scope.waveform_1.last
    assert np.ptp(wave) == pytest.approx(0.5, abs=0.05)  # the calibration output: a sine of 0.25 V
    assert np.std(wave) == pytest.approx(0.25 / math.sqrt(2.0), rel=0.02)
    scope.disconnect()


@every_model
def test_an_instrument_that_is_gone_is_named_and_found_again(bench, devices, role):
    device = devices[role]
    bench.stop_device(role)
    try:
        with pytest.raises(LabError, match=role):
            device.identity.get()
    finally:
        bench.start_device(role)
    assert device.IDENTITY_CONTAINS in device.identity.get()
