import re
from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from drivers.supply.keysight_e36312a import KeysightE36312A
from drivers.supply.keysight_e36312a_codec import CurrentLimit, OutputState, VoltageSetpoint
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)

WAIT_S = 5.0
LISTED = re.compile(r"(:\w+) ([-+.\dE]+), (\(@\d\))")


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    class Supply(fake_scpi):
        """Ten ohms at each output; a channel is the list behind the value."""

        def __init__(self) -> None:
            setpoints = {
                f"{header}? (@{channel})": f"{value:+.8E}"
                for channel in (1, 2, 3)
                for header, value in ((":VOLT", 0.0), (":CURR", 0.1))
            }
            outputs = {f":OUTP? (@{channel})": "0" for channel in (1, 2, 3)}
            identity = {"*IDN?": "Keysight Technologies,E36312A,MY57001234,1.0.4-1.0.0-1.02"}
            super().__init__({**identity, **setpoints, **outputs})

        def _obey(self, unit: str) -> str | None:
            if (match := LISTED.fullmatch(unit)) and match[1] not in self.refuse:
                register = f"{match[1]}? {match[3]}"
                value = float(match[2])
                self.registers[register] = f"{value:.0f}" if match[1] == ":OUTP" else f"{value:+.8E}"
                self._busy = self.busy_after_command
                return None
            if unit.startswith(":MEAS:"):
                return f"{self._measured(unit[6:10], unit[-4:]):+.8E}"
            return super()._obey(unit)

        def _measured(self, quantity: str, channel: str) -> float:
            if self.registers[f":OUTP? {channel}"] == "0":
                return 0.0
            voltage_v, limit_a = (float(self.registers[f"{head}? {channel}"]) for head in (":VOLT", ":CURR"))
            current_a = min(voltage_v / 10.0, limit_a)
            return 10.0 * current_a if quantity == "VOLT" else current_a

    return Supply()


@pytest.fixture
def supply(connected: Callable[..., Any], fake: Any) -> Any:
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


def test_a_voltage_is_given_within_the_current_limit(supply: Any, fake: Any):
    supply.voltage_setpoint.set(0.5).wait(WAIT_S)
    supply.output.set(True).wait(WAIT_S)
    supply.trigger().wait(WAIT_S)
    assert (supply.voltage.last, supply.current.last) == (0.5, 0.05)
    supply.voltage_setpoint.set(24.0).wait(WAIT_S)
    supply.trigger().wait(WAIT_S)
    assert (supply.voltage.last, supply.current.last) == (1.0, 0.1)
    assert fake.registers[":VOLT? (@1)"] == fake.registers[":VOLT? (@3)"] == "+0.00000000E+00"


@pytest.mark.usefixtures("supply")
def test_connecting_changes_nothing(fake: Any):
    assert fake.written[:2] == [b"*IDN?", b"*CLS"]
    assert all(message.endswith(b"? (@2)") for message in fake.written[2:])


def test_every_number_has_a_unit(supply: Any, fake: Any):
    before = len(fake.written)
    keys = {**supply.describe(), **supply.describe_configuration()}
    supply.read()
    assert {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"} == {
        "dev_voltage_setpoint": "V",
        "dev_current_limit": "A",
        "dev_output": "1",
        "dev_voltage": "V",
        "dev_current": "A",
    }
    assert len(fake.written) == before


@pytest.mark.parametrize(
    ("channel", "voltage_v", "current_a"), [(1, 6.0, 5.0), (2, 25.0, 1.0), (3, 25.0, 1.0)]
)
def test_each_output_has_its_ratings(
    connected: Any, fake: Any, channel: int, voltage_v: float, current_a: float
):
    supply = connected(KeysightE36312A, fake, channel=channel)
    assert supply.voltage_setpoint.limits == (0.0, voltage_v)
    assert supply.current_limit.limits == (0.0, current_a)
    with pytest.raises(LimitError, match=r"dev_voltage_setpoint: .* is above the bound"):
        supply.voltage_setpoint.set(voltage_v + 0.1)


def test_what_is_connected_may_stand_less(connected: Any, fake: Any):
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
def test_options_that_no_output_has_are_refused(fake: Any, options: dict[str, Any], message: str):
    with pytest.raises(LocalProtocolError, match=message):
        KeysightE36312A("memory", name="dev", transport=fake, **options)


def test_it_waits_until_the_instrument_has_settled(supply: Any, fake: Any, clock: Any):
    fake.busy_after_command = 3
    supply.voltage_setpoint.set(1.0).wait(WAIT_S)
    assert fake.written.count(b"*OPC?") == 4
    assert clock.now_ps() == 3 * 20_000_000_000


def test_a_value_that_the_instrument_rounds_is_reported(supply: Any, fake: Any):
    fake._obey, obey = lambda unit: "+1.00200000E+00" if unit == ":VOLT? (@2)" else obey(unit), fake._obey
    with pytest.raises(AcquisitionError, match=r"dev_voltage_setpoint: set to 1.0 V, but .* 1.002 V"):
        supply.voltage_setpoint.set(1.0).wait(WAIT_S)


def test_a_refusal_carries_the_instruments_reason(supply: Any, fake: Any):
    fake.refuse[":OUTP"] = '-200,"Execution error"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -200.*:OUTP 1, \(@2\)"):
        supply.output.set(1).wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(supply: Any, fake: Any):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        supply.trigger().wait(WAIT_S)


def test_another_model_is_not_taken_for_this_one(connected: Any, fake: Any):
    fake.registers["*IDN?"] = "Keysight Technologies,E36313A,MY57001234,1.0.4"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Keysight E36312A.*E36313A"):
        connected(KeysightE36312A, fake, channel=1)


def test_a_failing_plan_leaves_the_output_off(supply: Any, fake: Any, run_engine: RunEngine):
    def plan() -> Any:
        yield from bps.mv(supply.output, 1)
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        run_engine(bpp.contingency_wrapper(plan(), except_plan=lambda _e: bps.stop(supply)))
    supply.submit(lambda _status: None).wait(WAIT_S)
    assert fake.registers[":OUTP? (@2)"] == "0"


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
