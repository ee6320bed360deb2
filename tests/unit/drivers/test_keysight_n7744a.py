from collections.abc import Callable
from typing import Any

import pytest
from ophyd.utils import LimitError

from drivers.keysight_n77xx_codec import SensorWavelength
from drivers.power_meter.keysight_n7744a import KeysightN7744A
from qdci_lab.errors import InstrumentError, LocalProtocolError
from tests.unit.drivers.fake_scpi import FakeScpi
from tests.unit.drivers.power_meters import N7744A

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeScpi:
    return N7744A.fake()


@pytest.fixture
def meter(connected: Callable[..., Any], fake: FakeScpi) -> Any:
    return connected(KeysightN7744A, fake, slot=2)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    meter, transport = scripted(KeysightN7744A, transcript("keysight_n7744a"), slot=1)
    meter.wavelength.set(1550.12).wait(WAIT_S)
    meter.averaging_time.set(0.02).wait(WAIT_S)
    assert meter.power.get() == pytest.approx(-28.7434, abs=1e-4)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        meter.connection.checked(SensorWavelength.set(1, 1800.0))
    assert transport.exhausted


def test_connecting_sets_up_absolute_readings_that_are_triggered_by_asking(fake: FakeScpi, meter: Any):
    modes = (":SENS2:POW:UNIT", ":SENS2:POW:REF:STAT", ":SENS2:POW:RANG:AUTO", ":INIT2:CONT")
    assert [fake.registers[mode] for mode in modes] == ["WATT", "0", "1", "0"]
    assert meter.power.last == pytest.approx(0.0)


def test_averaging_times_have_limits(meter: Any):
    with pytest.raises(LimitError, match="dev_averaging_time: 11 s is above the bound of 10 s"):
        meter.averaging_time.set(11.0)


def test_patience_grows_with_the_averaging_time(meter: Any):
    meter.averaging_time.set(10.0).wait(WAIT_S)
    assert meter.reading_s >= 30.0
    assert meter.patience_s > meter.reading_s


def test_only_slots_of_the_model_are_taken(fake: FakeScpi):
    with pytest.raises(LocalProtocolError, match="slot 5: must be a whole number from 1 to 4"):
        KeysightN7744A("memory", name="dev", slot=5, transport=fake)
