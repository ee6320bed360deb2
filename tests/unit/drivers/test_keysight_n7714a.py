from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest

from drivers.keysight_n77xx_codec import LaserWavelength
from drivers.laser.keysight_n7714a import KeysightN7714A
from qdci_lab.errors import InstrumentError, LocalProtocolError
from tests.unit.drivers.sources import FakeN7714A

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeN7714A:
    return FakeN7714A()


@pytest.fixture
def laser(connected: Callable[..., Any], fake: FakeN7714A) -> Any:
    return connected(KeysightN7714A, fake, slot=4)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    laser, transport = scripted(KeysightN7714A, transcript("keysight_n7714a"), slot=1)
    with pytest.raises(
        InstrumentError, match=r"lab\.dev: error -221, 'Not allowed while frequency auto mode is off'"
    ):
        laser.connection.checked(LaserWavelength.set(1, 1550.0))
    laser.wavelength.set(1550.12).wait(WAIT_S)
    assert laser.frequency.last == pytest.approx(193.399515)
    laser.power.set(13.9).wait(WAIT_S)
    laser.emission.set(1).wait(WAIT_S)
    assert laser.emission.last is True
    laser.make_safe().wait(WAIT_S)
    assert laser.emission.last is False
    assert transport.exhausted


def test_connecting_leaves_the_light_as_it_is(connected: Any, fake: FakeN7714A):
    fake.registers[":OUTP4"] = "1"
    laser = connected(KeysightN7714A, fake, slot=4)
    assert laser.emission.last is True
    sent = [message for message in fake.written if b"?" not in message]
    assert sent == [b"*CLS", b":SOUR4:POW:UNIT DBM"]


def test_reading_does_no_io(laser: Any, fake: FakeN7714A):
    before = len(fake.written)
    assert laser.read()["dev_wavelength"]["value"] == 1550.0
    assert laser.read_configuration()["dev_frequency"]["value"] == pytest.approx(193.414489)
    assert len(fake.written) == before


def test_auto_mode_is_entered_only_where_it_is_needed(laser: Any, fake: FakeN7714A):
    laser.wavelength.set(1540.0).wait(WAIT_S)
    assert b":SOUR4:WAV:AUTO 1" not in fake.written
    fake.registers[":SOUR4:WAV:AUTO"] = "0"
    laser.wavelength.set(1545.0).wait(WAIT_S)
    assert fake.registers[":SOUR4:WAV:AUTO"] == "1"


def test_the_safe_state_is_dark(laser: Any, fake: FakeN7714A):
    laser.emission.set(1).wait(WAIT_S)
    laser.stop()
    laser.submit(lambda _status: None).wait(WAIT_S)
    assert fake.registers[":OUTP4"] == "0"


def test_a_run_that_went_well_leaves_the_light_on(laser: Any, fake: FakeN7714A):
    laser.emission.set(1).wait(WAIT_S)
    laser.stop(success=True)
    laser.submit(lambda _status: None).wait(WAIT_S)
    assert fake.registers[":OUTP4"] == "1"


def test_a_scan_tunes_the_laser(laser: Any, recorded: Any):
    events = recorded(bp.scan([laser], laser.wavelength, 1540.0, 1560.0, 3))
    assert [event["dev_wavelength"] for event in events] == [1540.0, 1550.0, 1560.0]


def test_only_slots_of_the_model_are_taken(fake: FakeN7714A):
    with pytest.raises(LocalProtocolError, match="slot 0"):
        KeysightN7714A("memory", name="dev", slot=0, transport=fake)
