from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest

from drivers.laser.coherent_mtp1000 import CoherentMtp1000
from drivers.laser.coherent_mtp1000_codec import Emission, Power, Wavelength
from qdci_lab.errors import LocalProtocolError
from tests.unit.drivers.sources import FakeMtp1000

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeMtp1000:
    return FakeMtp1000()


@pytest.fixture
def laser(connected: Callable[..., Any], fake: FakeMtp1000) -> Any:
    return connected(CoherentMtp1000, fake, slot=3, channel=2)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    laser, transport = scripted(CoherentMtp1000, transcript("coherent_mtp1000"), slot=1)
    laser.wavelength.set(1550.12).wait(WAIT_S)
    laser.power.set(13.9).wait(WAIT_S)
    laser.emission.set(1).wait(WAIT_S)
    laser.make_safe().wait(WAIT_S)
    assert laser.emission.last is False
    assert transport.exhausted


def test_settings_are_set_and_read_back(laser: Any, fake: FakeMtp1000):
    laser.wavelength.set(1546.12).wait(WAIT_S)
    laser.power.set(13.9).wait(WAIT_S)
    laser.emission.set(True).wait(WAIT_S)
    assert (laser.wavelength.last, laser.power.last, laser.emission.last) == (1546.12, 13.9, True)
    assert b":SOUR3:CHAN2:WAV 1546.1200 NM" in fake.written
    assert b":SOUR3:CHAN2:POW 13.90" in fake.written
    assert b":OUTP3:CHAN2:STATE ON" in fake.written


def test_connecting_leaves_the_light_as_it_is(laser: Any, fake: FakeMtp1000):
    assert not [message for message in fake.written if not message.endswith(b"?") and message != b"*CLS"]
    assert laser.blades.last == "LaserBlade,,,SwitchBlade,,,,,"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slot": 0}, "slot 0: must be a whole number from 1 to 9"),
        ({"slot": 10}, "slot 10"),
        ({"slot": True}, "slot True"),
        ({"slot": 1, "channel": 5}, "channel 5: must be a whole number from 1 to 4"),
    ],
)
def test_only_slots_and_channels_that_there_are_can_be_chosen(
    fake: FakeMtp1000, options: dict[str, int], message: str
):
    with pytest.raises(LocalProtocolError, match=message):
        CoherentMtp1000("memory", name="dev", transport=fake, **options)


def test_a_scan_records_the_wavelengths(laser: Any, recorded: Any):
    events = recorded(bp.scan([laser], laser.wavelength, 1530.0, 1560.0, 4))
    assert [event["dev_wavelength"] for event in events] == [1530.0, 1540.0, 1550.0, 1560.0]


def test_commands_are_as_the_manuals_have_them():
    assert Wavelength.set(1, 2, 1550).message == b":SOUR1:CHAN2:WAV 1550.0000 NM"
    assert Power.set(9, 1, -1.5).message == b":SOUR9:CHAN1:POW -1.50"
    assert Emission.set(4, 3, False).message == b":OUTP4:CHAN3:STATE OFF"
    assert Wavelength.get(1, 1).parse(b"1.5501200E-006") == 1550.12
