from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest
from ophyd.utils import LimitError

from drivers.laser.coherent_mtp1000 import CoherentMtp1000
from drivers.laser.coherent_mtp1000_codec import Emission, Power, Wavelength
from qdci_lab.errors import AcquisitionError, LocalProtocolError
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
    ("signal", "value", "message"),
    [
        ("wavelength", 1310.0, "dev_wavelength: 1310 nm is below the bound of 1527.6 nm"),
        ("power", 17.0, "dev_power: 17 dBm is above the bound of 16 dBm"),
        ("emission", 2, "dev_emission: 2 is above the bound of 1"),
    ],
)
def test_what_no_blade_can_do_is_refused_before_anything_is_sent(
    laser: Any, fake: FakeMtp1000, signal: str, value: float, message: str
):
    before = len(fake.written)
    with pytest.raises(LimitError, match=message):
        getattr(laser, signal).set(value)
    assert len(fake.written) == before


def test_it_waits_on_the_labs_clock_until_the_laser_has_settled(laser: Any, fake: FakeMtp1000, clock: Any):
    fake.busy_after_command = 5
    laser.wavelength.set(1540.0).wait(WAIT_S)
    assert clock.now_ps() == 5 * 20_000_000_000


def test_a_laser_that_never_settles_is_reported(laser: Any, fake: FakeMtp1000):
    fake.busy_after_command = 10**9
    with pytest.raises(AcquisitionError, match=r"lab\.dev: still busy after 30 s"):
        laser.power.set(8.0).wait(WAIT_S)


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
