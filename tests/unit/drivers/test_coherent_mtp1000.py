from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from drivers.laser.coherent_mtp1000 import CoherentMtp1000
from drivers.laser.coherent_mtp1000_codec import Emission, Power, Wavelength
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)

WAIT_S = 5.0


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    class Mainframe(fake_scpi):
        """A wavelength is given in nm and comes back in m."""

        def __init__(self) -> None:
            super().__init__({
                "*IDN?": "Coherent Solutions Ltd,MTP1000,90001234,1.8.0",
                "*OPT?": "LaserBlade,,,SwitchBlade,,,,,",
                ":OUTP3:CHAN2:STATE": "0",
                ":SOUR3:CHAN2:WAV": "1.55012000E-006",
                ":SOUR3:CHAN2:POW": "1.00000000E+001",
            })  # fmt: skip

        @staticmethod
        def _printed(present: str, argument: str) -> str:
            number, _, unit = argument.partition(" ")
            if "E" not in present:
                return {"ON": "1", "OFF": "0"}[argument]
            mantissa, exponent = f"{float(number) * {'NM': 1e-9, '': 1.0}[unit]:+.8E}".split("E")
            return f"{mantissa}E{exponent[0]}{int(exponent[1:]):03d}"

    return Mainframe()


@pytest.fixture
def laser(connected: Callable[..., Any], fake: Any) -> Any:
    return connected(CoherentMtp1000, fake, slot=3, channel=2)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    laser, transport = scripted(CoherentMtp1000, transcript("coherent_mtp1000"), slot=1)
    laser.wavelength.set(1550.12).wait(WAIT_S)
    laser.power.set(13.9).wait(WAIT_S)
    laser.emission.set(1).wait(WAIT_S)
    laser.make_safe().wait(WAIT_S)
    assert laser.emission.last is False
    assert transport.exhausted


def test_settings_are_set_and_read_back(laser: Any, fake: Any):
    laser.wavelength.set(1546.12).wait(WAIT_S)
    laser.power.set(13.9).wait(WAIT_S)
    laser.emission.set(True).wait(WAIT_S)
    assert (laser.wavelength.last, laser.power.last, laser.emission.last) == (1546.12, 13.9, True)
    assert b":SOUR3:CHAN2:WAV 1546.1200 NM" in fake.written
    assert b":SOUR3:CHAN2:POW 13.90" in fake.written
    assert b":OUTP3:CHAN2:STATE ON" in fake.written


def test_connecting_leaves_the_light_as_it_is(laser: Any, fake: Any):
    assert not [message for message in fake.written if not message.endswith(b"?") and message != b"*CLS"]
    assert laser.blades.last == "LaserBlade,,,SwitchBlade,,,,,"


def test_every_number_has_a_unit(laser: Any, fake: Any):
    before = len(fake.written)
    keys = {**laser.describe(), **laser.describe_configuration()}
    laser.read()
    assert {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"} == {
        "dev_wavelength": "nm",
        "dev_power": "dBm",
        "dev_emission": "1",
    }
    assert len(fake.written) == before


@pytest.mark.parametrize(
    ("signal", "value", "message"),
    [
        ("wavelength", 1310.0, "dev_wavelength: 1310 nm is below the bound of 1527.6 nm"),
        ("power", 17.0, "dev_power: 17 dBm is above the bound of 16 dBm"),
        ("emission", 2, "dev_emission: 2 is above the bound of 1"),
    ],
)
def test_what_no_blade_can_do_is_refused_before_anything_is_sent(
    laser: Any, fake: Any, signal: str, value: float, message: str
):
    before = len(fake.written)
    with pytest.raises(LimitError, match=message):
        getattr(laser, signal).set(value)
    assert len(fake.written) == before


def test_it_waits_on_the_labs_clock_until_the_laser_has_settled(laser: Any, fake: Any, clock: Any):
    fake.busy_after_command = 5
    laser.wavelength.set(1540.0).wait(WAIT_S)
    assert clock.now_ps() == 5 * 20_000_000_000


def test_a_laser_that_never_settles_is_reported(laser: Any, fake: Any):
    fake.busy_after_command = 10**9
    with pytest.raises(AcquisitionError, match=r"lab\.dev: still busy after 30 s"):
        laser.power.set(8.0).wait(WAIT_S)


def test_a_refusal_carries_the_instruments_reason(laser: Any, fake: Any):
    fake.refuse[":SOUR3:CHAN2:POW"] = '-222,"Data out of range"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        laser.power.set(15.0).wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(laser: Any, fake: Any):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        laser.trigger().wait(WAIT_S)


def test_another_mainframe_is_not_taken_for_this_one(connected: Any, fake: Any):
    fake.registers["*IDN?"] = "Coherent Solutions Ltd,MATRIQ1000,90001234,1.8.0"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Coherent MTP1000.*MATRIQ"):
        connected(CoherentMtp1000, fake, slot=3)


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
    fake: Any, options: dict[str, int], message: str
):
    with pytest.raises(LocalProtocolError, match=message):
        CoherentMtp1000("memory", name="dev", transport=fake, **options)


def test_a_scan_records_the_wavelengths(laser: Any, recorded: Any):
    events = recorded(bp.scan([laser], laser.wavelength, 1530.0, 1560.0, 4))
    assert [event["dev_wavelength"] for event in events] == [1530.0, 1540.0, 1550.0, 1560.0]


def test_a_failing_plan_leaves_it_dark(laser: Any, fake: Any, run_engine: RunEngine):
    def plan() -> Any:
        yield from bps.mv(laser.emission, 1)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        run_engine(bpp.contingency_wrapper(plan(), except_plan=lambda _e: bps.stop(laser)))
    laser.submit(lambda _status: None).wait(WAIT_S)
    assert fake.registers[":OUTP3:CHAN2:STATE"] == "0"


def test_commands_are_as_the_manuals_have_them():
    assert Wavelength.set(1, 2, 1550).message == b":SOUR1:CHAN2:WAV 1550.0000 NM"
    assert Power.set(9, 1, -1.5).message == b":SOUR9:CHAN1:POW -1.50"
    assert Emission.set(4, 3, False).message == b":OUTP4:CHAN3:STATE OFF"
    assert Wavelength.get(1, 1).parse(b"1.5501200E-006") == 1550.12
