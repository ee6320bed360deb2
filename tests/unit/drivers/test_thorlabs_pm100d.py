import math
from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest
from ophyd.utils import LimitError

from drivers.power_meter.thorlabs_pm100d import ThorlabsPm100d
from drivers.power_meter.thorlabs_pm100d_codec import Averages, Wavelength
from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError, TransportTimeout

WAIT_S = 5.0


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    return fake_scpi({
        "*IDN?": "Thorlabs,PM100D,P0012345,2.4.0",
        ":SENS:POW:UNIT": "DBM",
        ":SENS:RANGE:AUTO": "0",
        ":SYST:SENS:IDN?": "S154C,1304083,01-Jan-2020,1,2,289",
        ":SENS:CORR:WAV? MIN": "7.00000000E+02",
        ":SENS:CORR:WAV? MAX": "1.80000000E+03",
        ":SENS:CORR:WAV": "6.35000000E+02",
        ":SENS:AVER": "1",
        ":MEAS:POW": "1.00000000E-03",
    })  # fmt: skip


@pytest.fixture
def meter(connected: Callable[..., Any], fake: Any) -> Any:
    return connected(ThorlabsPm100d, fake)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    meter, transport = scripted(ThorlabsPm100d, transcript("thorlabs_pm100d"))
    meter.wavelength.set(1550).wait(WAIT_S)
    meter.averages.set(100).wait(WAIT_S)
    meter.trigger().wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        meter.connection.checked(Wavelength.set(5000.0))
    assert transport.exhausted


def test_connecting_sets_up_absolute_readings_in_watts(fake: Any, meter: Any):
    assert (fake.registers[":SENS:POW:UNIT"], fake.registers[":SENS:RANGE:AUTO"]) == ("W", "1")
    assert meter.power.last == pytest.approx(0.0)
    assert meter.sensor.last.startswith("S154C,")


def test_a_trigger_measures_and_a_read_does_not(meter: Any, fake: Any):
    fake.registers[":MEAS:POW"] = "3.46736850E-06"
    before = len(fake.written)
    assert meter.read()["dev_power"]["value"] == pytest.approx(0.0)
    assert len(fake.written) == before
    meter.trigger().wait(WAIT_S)
    assert meter.read()["dev_power"]["value"] == pytest.approx(-24.6)


def test_every_number_has_a_unit(meter: Any):
    keys = {**meter.describe(), **meter.describe_configuration()}
    assert {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"} == {
        "dev_power": "dBm",
        "dev_wavelength": "nm",
        "dev_averages": "1",
    }
    assert meter.hints == {"fields": ["dev_power"]}


@pytest.mark.parametrize(
    ("reply", "power_dbm"),
    [("0.0000E+00", -math.inf), ("-4.0E-10", -math.inf), ("9.9E37", math.inf), ("1.0E-9", -60.0)],
)
def test_readings_in_dbm(meter: Any, fake: Any, reply: str, power_dbm: float):
    fake.registers[":MEAS:POW"] = reply
    assert meter.power.get() == pytest.approx(power_dbm)


def test_an_invalid_reading_is_not_a_number(meter: Any, fake: Any):
    fake.registers[":MEAS:POW"] = "9.91E37"
    assert math.isnan(meter.power.get())


def test_a_reading_in_the_dark_is_recorded(meter: Any, fake: Any, recorded: Any):
    fake.registers[":MEAS:POW"] = "-4.0E-10"
    events = recorded(bp.count([meter], num=2))
    assert [event["dev_power"] for event in events] == [-math.inf, -math.inf]


def test_the_sensors_own_wavelength_limits_hold(meter: Any, fake: Any):
    before = len(fake.written)
    with pytest.raises(LimitError, match="dev_wavelength: 635 nm is below the bound of 700 nm"):
        meter.wavelength.set(635.0)
    with pytest.raises(LimitError, match="dev_averages: 20000 is above the bound of 10000"):
        meter.averages.set(20_000)
    with pytest.raises(LocalProtocolError, match=r"2\.5 averages: must be a whole number"):
        meter.averages.set(2.5)
    assert len(fake.written) == before


def test_patience_grows_with_the_number_of_averages(meter: Any):
    before_s = meter.patience_s
    meter.averages.set(10_000).wait(WAIT_S)
    assert meter.reading_s >= 30.0
    assert meter.patience_s >= before_s + 29.0


def test_a_refused_reading_carries_the_instruments_reason(meter: Any, fake: Any):
    fake.refuse[":MEAS:POW?"] = '-231,"Data questionable"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -231"):
        meter.trigger().wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(meter: Any, fake: Any):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        meter.trigger().wait(WAIT_S)


def test_another_model_is_not_taken_for_this_one(connected: Any, fake: Any):
    fake.registers["*IDN?"] = "Thorlabs,ITC4001,M00000001,1.0"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Thorlabs PM100D.*ITC4001"):
        connected(ThorlabsPm100d, fake)


def test_commands_are_as_public_drivers_send_them():
    assert Wavelength.set(1550.12).message == b":SENS:CORR:WAV 1550.120"
    assert Averages.set(1000).message == b":SENS:AVER 1000"
