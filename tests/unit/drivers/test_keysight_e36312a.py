from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest
from ophyd.utils import LimitError

from drivers.supply.keysight_e36312a import KeysightE36312A
from drivers.supply.keysight_e36312a_codec import CurrentLimit, OutputState, VoltageSetpoint
from qdci_lab.errors import AcquisitionError, InstrumentError, LocalProtocolError
from tests.unit.drivers.sources import FakeE36312A

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeE36312A:
    return FakeE36312A()


@pytest.fixture
def supply(connected: Callable[..., Any], fake: FakeE36312A) -> Any:
    return connected(KeysightE36312A, fake, channel=2)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    supply, transport = scripted(KeysightE36312A, transcript("keysight_e36312a"), channel=2)
    supply.voltage_setpoint.set(5).wait(WAIT_S)
    supply.current_limit.set(0.25).wait(WAIT_S)
    supply.output.set(1).wait(WAIT_S)
    supply.trigger().wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        supply.obey(VoltageSetpoint.set(2, 40.0))
    supply.make_safe().wait(WAIT_S)
    assert supply.output.last is False
    assert transport.exhausted


def test_a_voltage_is_given_within_the_current_limit(supply: Any, fake: FakeE36312A):
    supply.voltage_setpoint.set(0.5).wait(WAIT_S)
    supply.output.set(True).wait(WAIT_S)
    supply.trigger().wait(WAIT_S)
    assert (supply.voltage.last, supply.current.last) == (0.5, 0.05)
    supply.voltage_setpoint.set(24.0).wait(WAIT_S)
    supply.trigger().wait(WAIT_S)
    assert (supply.voltage.last, supply.current.last) == (1.0, 0.1)
    assert fake.registers[":VOLT? (@1)"] == fake.registers[":VOLT? (@3)"] == "+0.00000000E+00"


@pytest.mark.usefixtures("supply")
def test_connecting_changes_nothing(fake: FakeE36312A):
    assert fake.written[:2] == [b"*IDN?", b"*CLS"]
    assert all(message.endswith(b"? (@2)") for message in fake.written[2:])


@pytest.mark.parametrize(
    ("channel", "voltage_v", "current_a"), [(1, 6.0, 5.0), (2, 25.0, 1.0), (3, 25.0, 1.0)]
)
def test_each_output_has_its_ratings(
    connected: Any, fake: FakeE36312A, channel: int, voltage_v: float, current_a: float
):
    supply = connected(KeysightE36312A, fake, channel=channel)
    assert supply.voltage_setpoint.limits == (0.0, voltage_v)
    assert supply.current_limit.limits == (0.0, current_a)
    with pytest.raises(LimitError, match=r"dev_voltage_setpoint: .* is above the bound"):
        supply.voltage_setpoint.set(voltage_v + 0.1)


def test_what_is_connected_may_stand_less(connected: Any, fake: FakeE36312A):
    supply = connected(KeysightE36312A, fake, channel=2, max_voltage_v=3.3, max_current_a=0.2)
    before = len(fake.written)
    with pytest.raises(LimitError, match=r"dev_voltage_setpoint: 5 V is above the bound of 3\.3 V"):
        supply.voltage_setpoint.set(5.0)
    with pytest.raises(LimitError, match=r"dev_current_limit: 0\.5 A is above the bound of 0\.2 A"):
        supply.current_limit.set(0.5)
    assert len(fake.written) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel": 4}, "channel 4: must be one of"),
        ({"channel": 1, "max_voltage_v": 12.0}, "max_voltage_v = 12: must be from 0 to 6"),
        ({"channel": 1, "max_current_a": -1.0}, "max_current_a = -1: must be from 0 to 5"),
        ({"channel": 1, "max_voltage_v": float("nan")}, "max_voltage_v = nan"),
    ],
)
def test_options_that_no_output_has_are_refused(fake: FakeE36312A, options: dict[str, Any], message: str):
    with pytest.raises(LocalProtocolError, match=message):
        KeysightE36312A("memory", name="dev", transport=fake, **options)


def test_a_value_that_the_instrument_rounds_is_reported(supply: Any, fake: FakeE36312A):
    fake._obey, obey = lambda unit: "+1.00200000E+00" if unit == ":VOLT? (@2)" else obey(unit), fake._obey
    with pytest.raises(AcquisitionError, match=r"dev_voltage_setpoint: set to 1.0 V, but .* 1.002 V"):
        supply.voltage_setpoint.set(1.0).wait(WAIT_S)


def test_a_scan_records_what_the_output_gave(supply: Any, recorded: Any):
    supply.output.set(1).wait(WAIT_S)
    events = recorded(bp.scan([supply], supply.voltage_setpoint, 0.0, 2.0, 3))
    assert [event["dev_voltage_setpoint"] for event in events] == [0.0, 1.0, 2.0]
    assert [event["dev_voltage"] for event in events] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (VoltageSetpoint.set(1, 5), b":VOLT 5.0000, (@1)"),
        (CurrentLimit.set(3, 0.0125), b":CURR 0.0125, (@3)"),
        (OutputState.set(2, False), b":OUTP 0, (@2)"),
    ],
)
def test_commands_are_as_public_drivers_send_them(command: Any, message: bytes):
    assert command.message == message


def test_no_command_is_made_of_what_is_no_number():
    with pytest.raises(LocalProtocolError, match="finite"):
        VoltageSetpoint.set(1, float("inf"))
