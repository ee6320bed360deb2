import math
from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest
from ophyd.utils import LimitError

from drivers.keysight_n77xx_codec import SensorWavelength
from drivers.power_meter.keysight_n7744a import KeysightN7744A
from qdci_lab.errors import InstrumentError, LocalProtocolError, TransportTimeout

WAIT_S = 5.0


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    return fake_scpi({
        "*IDN?": "Keysight Technologies,N7744A,DE48B00101,1.17",
        ":SENS2:POW:UNIT": "0",
        ":SENS2:POW:REF:STAT": "1",
        ":SENS2:POW:RANG:AUTO": "0",
        ":INIT2:CONT": "1",
        ":SENS2:POW:ATIM": "+1.00000000E-001",
        ":SENS2:POW:WAV? MIN": "+1.25000000E-006",
        ":SENS2:POW:WAV? MAX": "+1.65000000E-006",
        ":SENS2:POW:WAV": "+1.31000000E-006",
        ":READ2:POW": "+1.00000000E-003",
    })  # fmt: skip


@pytest.fixture
def meter(connected: Callable[..., Any], fake: Any) -> Any:
    return connected(KeysightN7744A, fake, slot=2)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    meter, transport = scripted(KeysightN7744A, transcript("keysight_n7744a"), slot=1)
    meter.wavelength.set(1550.12).wait(WAIT_S)
    meter.averaging_time.set(0.02).wait(WAIT_S)
    assert meter.power.get() == pytest.approx(-28.7434, abs=1e-4)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        meter.connection.checked(SensorWavelength.set(1, 1800.0))
    assert transport.exhausted


def test_connecting_sets_up_absolute_readings_that_are_triggered_by_asking(fake: Any, meter: Any):
    modes = (":SENS2:POW:UNIT", ":SENS2:POW:REF:STAT", ":SENS2:POW:RANG:AUTO", ":INIT2:CONT")
    assert [fake.registers[mode] for mode in modes] == ["WATT", "0", "1", "0"]
    assert meter.power.last == pytest.approx(0.0)


def test_a_trigger_measures_and_a_read_does_not(meter: Any, fake: Any):
    fake.registers[":READ2:POW"] = "+1.00000000E-009"
    before = len(fake.written)
    assert meter.read()["dev_power"]["value"] == pytest.approx(0.0)
    assert len(fake.written) == before
    meter.trigger().wait(WAIT_S)
    assert meter.read()["dev_power"]["value"] == pytest.approx(-60.0)


def test_every_number_has_a_unit(meter: Any):
    keys = {**meter.describe(), **meter.describe_configuration()}
    assert {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"} == {
        "dev_power": "dBm",
        "dev_wavelength": "nm",
        "dev_averaging_time": "s",
    }
    assert meter.hints == {"fields": ["dev_power"]}


@pytest.mark.parametrize("reply", ["+0.00000000E+000", "-4.00000000E-013"])
def test_a_reading_below_the_range_is_minus_infinity(meter: Any, fake: Any, reply: str):
    fake.registers[":READ2:POW"] = reply
    assert meter.power.get() == -math.inf


def test_an_invalid_reading_is_not_a_number(meter: Any, fake: Any):
    fake.registers[":READ2:POW"] = "+3.40282300E+038"
    assert math.isnan(meter.power.get())


def test_a_reading_without_light_is_recorded(meter: Any, fake: Any, recorded: Any):
    fake.registers[":READ2:POW"] = "-4.00000000E-013"
    events = recorded(bp.count([meter], num=2))
    assert [event["dev_power"] for event in events] == [-math.inf, -math.inf]


def test_the_sensors_own_wavelength_limits_hold(meter: Any, fake: Any):
    before = len(fake.written)
    with pytest.raises(LimitError, match="dev_wavelength: 1700 nm is above the bound of 1650 nm"):
        meter.wavelength.set(1700.0)
    assert len(fake.written) == before


def test_averaging_times_have_limits(meter: Any):
    with pytest.raises(LimitError, match="dev_averaging_time: 11 s is above the bound of 10 s"):
        meter.averaging_time.set(11.0)


def test_patience_grows_with_the_averaging_time(meter: Any):
    meter.averaging_time.set(10.0).wait(WAIT_S)
    assert meter.reading_s >= 30.0
    assert meter.patience_s > meter.reading_s


def test_a_refused_reading_carries_the_instruments_reason(meter: Any, fake: Any):
    fake.refuse[":READ2:POW?"] = '-205, "Powermeter not running (StatMeterNotRunning)"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -205"):
        meter.trigger().wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(meter: Any, fake: Any):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        meter.trigger().wait(WAIT_S)


def test_only_slots_of_the_model_are_taken(fake: Any):
    with pytest.raises(LocalProtocolError, match="slot 5: must be a whole number from 1 to 4"):
        KeysightN7744A("memory", name="dev", slot=5, transport=fake)
