from collections.abc import Callable
from typing import Any

import pytest
from ophyd.utils import LimitError

from drivers.power_meter.thorlabs_pm100d import ThorlabsPm100d
from drivers.power_meter.thorlabs_pm100d_codec import Averages, Wavelength
from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from tests.unit.drivers.fake_scpi import FakeScpi
from tests.unit.drivers.power_meters import PM100D

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeScpi:
    return PM100D.fake()


@pytest.fixture
def meter(connected: Callable[..., Any], fake: FakeScpi) -> Any:
    return connected(ThorlabsPm100d, fake)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    meter, transport = scripted(ThorlabsPm100d, transcript("thorlabs_pm100d"))
    meter.wavelength.set(1550).wait(WAIT_S)
    meter.averages.set(100).wait(WAIT_S)
    meter.trigger().wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        meter.connection.checked(Wavelength.set(5000.0))
    assert transport.exhausted


def test_connecting_sets_up_absolute_readings_in_watts(fake: FakeScpi, meter: Any):
    assert (fake.registers[":SENS:POW:UNIT"], fake.registers[":SENS:RANGE:AUTO"]) == ("W", "1")
    assert meter.power.last == pytest.approx(0.0)
    assert meter.sensor.last.startswith("S154C,")


def test_numbers_of_averages_have_limits(meter: Any, fake: FakeScpi):
    before = len(fake.written)
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


def test_another_model_is_not_taken_for_this_one(connected: Any, fake: FakeScpi):
    fake.registers["*IDN?"] = "Thorlabs,ITC4001,M00000001,1.0"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Thorlabs PM100D.*ITC4001"):
        connected(ThorlabsPm100d, fake)


def test_commands_are_as_public_drivers_send_them():
    assert Wavelength.set(1550.12).message == b":SENS:CORR:WAV 1550.120"
    assert Averages.set(1000).message == b":SENS:AVER 1000"
