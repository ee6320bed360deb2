"""What holds for every power meter."""

import math
from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest
from ophyd.utils import LimitError

from qdci_lab.errors import InstrumentError, TransportTimeout
from tests.unit.drivers.fake_scpi import FakeScpi
from tests.unit.drivers.power_meters import N7744A, PM100D, PowerMeter

WAIT_S = 5.0
MODELS = {"keysight_n7744a": N7744A, "thorlabs_pm100d": PM100D}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> PowerMeter:
    return MODELS[request.param]


@pytest.fixture
def fake(model: PowerMeter) -> FakeScpi:
    return model.fake()


@pytest.fixture
def meter(connected: Callable[..., Any], model: PowerMeter, fake: FakeScpi) -> Any:
    return connected(model.driver, fake, **model.options)


@pytest.mark.parametrize(
    ("model", "reply", "power_dbm"),
    [("keysight_n7744a", "+1.00000000E-009", -60.0), ("thorlabs_pm100d", "3.46736850E-06", -24.6)],
    indirect=["model"],
)
def test_a_trigger_measures_and_a_read_does_not(
    model: PowerMeter, meter: Any, fake: FakeScpi, reply: str, power_dbm: float
):
    fake.registers[model.reading] = reply
    before = len(fake.written)
    assert meter.read()["dev_power"]["value"] == pytest.approx(0.0)
    assert len(fake.written) == before
    meter.trigger().wait(WAIT_S)
    assert meter.read()["dev_power"]["value"] == pytest.approx(power_dbm)


@pytest.mark.parametrize(
    ("model", "averaging"),
    [("keysight_n7744a", {"dev_averaging_time": "s"}), ("thorlabs_pm100d", {"dev_averages": "1"})],
    indirect=["model"],
)
def test_every_number_has_a_unit(meter: Any, averaging: dict[str, str]):
    keys = {**meter.describe(), **meter.describe_configuration()}
    units = {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"}
    assert units == {"dev_power": "dBm", "dev_wavelength": "nm", **averaging}
    assert meter.hints == {"fields": ["dev_power"]}


@pytest.mark.parametrize(
    ("model", "reply", "power_dbm"),
    [
        ("keysight_n7744a", "+0.00000000E+000", -math.inf),
        ("keysight_n7744a", "-4.00000000E-013", -math.inf),
        ("thorlabs_pm100d", "0.0000E+00", -math.inf),
        ("thorlabs_pm100d", "-4.0E-10", -math.inf),
        ("thorlabs_pm100d", "9.9E37", math.inf),
        ("thorlabs_pm100d", "1.0E-9", -60.0),
    ],
    indirect=["model"],
)
def test_readings_in_dbm(model: PowerMeter, meter: Any, fake: FakeScpi, reply: str, power_dbm: float):
    fake.registers[model.reading] = reply
    assert meter.power.get() == pytest.approx(power_dbm)


@pytest.mark.parametrize(
    ("model", "reply"),
    [("keysight_n7744a", "+3.40282300E+038"), ("thorlabs_pm100d", "9.91E37")],
    indirect=["model"],
)
def test_an_invalid_reading_is_not_a_number(model: PowerMeter, meter: Any, fake: FakeScpi, reply: str):
    fake.registers[model.reading] = reply
    assert math.isnan(meter.power.get())


@pytest.mark.parametrize(
    ("model", "reply"),
    [("keysight_n7744a", "-4.00000000E-013"), ("thorlabs_pm100d", "-4.0E-10")],
    indirect=["model"],
)
def test_a_reading_in_the_dark_is_recorded(
    model: PowerMeter, meter: Any, fake: FakeScpi, recorded: Any, reply: str
):
    fake.registers[model.reading] = reply
    events = recorded(bp.count([meter], num=2))
    assert [event["dev_power"] for event in events] == [-math.inf, -math.inf]


@pytest.mark.parametrize(
    ("model", "wavelength_nm", "message"),
    [
        ("keysight_n7744a", 1700.0, "dev_wavelength: 1700 nm is above the bound of 1650 nm"),
        ("thorlabs_pm100d", 635.0, "dev_wavelength: 635 nm is below the bound of 700 nm"),
    ],
    indirect=["model"],
)
def test_the_sensors_own_wavelength_limits_hold(
    meter: Any, fake: FakeScpi, wavelength_nm: float, message: str
):
    before = len(fake.written)
    with pytest.raises(LimitError, match=message):
        meter.wavelength.set(wavelength_nm)
    assert len(fake.written) == before


@pytest.mark.parametrize(
    ("model", "refusal", "code"),
    [
        ("keysight_n7744a", '-205, "Powermeter not running (StatMeterNotRunning)"', -205),
        ("thorlabs_pm100d", '-231,"Data questionable"', -231),
    ],
    indirect=["model"],
)
def test_a_refused_reading_carries_the_instruments_reason(
    model: PowerMeter, meter: Any, fake: FakeScpi, refusal: str, code: int
):
    fake.refuse[f"{model.reading}?"] = refusal
    with pytest.raises(InstrumentError, match=rf"lab\.dev: error {code}"):
        meter.trigger().wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(meter: Any, fake: FakeScpi):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        meter.trigger().wait(WAIT_S)
