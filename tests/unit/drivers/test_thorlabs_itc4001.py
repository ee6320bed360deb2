from collections.abc import Callable
from typing import Any

import bluesky.plans as bp
import pytest
from ophyd.utils import LimitError

from drivers.laser.thorlabs_itc4001 import ThorlabsItc4001
from drivers.laser.thorlabs_itc4001_codec import Current, TemperatureSetpoint, obstacles
from qdci_lab.errors import AcquisitionError, InstrumentError, LocalProtocolError
from tests.unit.drivers.sources import FakeItc4001

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeItc4001:
    return FakeItc4001()


@pytest.fixture
def source(connected: Callable[..., Any], fake: FakeItc4001) -> Any:
    return connected(ThorlabsItc4001, fake)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    source, transport = scripted(ThorlabsItc4001, transcript("thorlabs_itc4001"))
    source.current.set(0.02).wait(WAIT_S)
    source.temperature_setpoint.set(23).wait(WAIT_S)
    source.emission.set(1).wait(WAIT_S)
    source.trigger().wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        source.obey(Current.set(5.0))
    source.make_safe().wait(WAIT_S)
    assert source.emission.last is False
    assert transport.exhausted


def test_connecting_limits_the_current_and_switches_nothing(source: Any, fake: FakeItc4001):
    assert float(fake.registers[":SOUR:CURR:LIM"]) == 0.045
    assert fake.registers[":SOUR:FUNC:MODE"] == "CURR"
    assert (fake.registers[":OUTP"], fake.registers[":OUTP2"]) == ("0", "0")
    assert source.current_limit.last == 0.045
    assert source.temperature_setpoint.limits == (5.0, 45.0)


def test_a_lower_limit_of_the_instrument_stays(connected: Any, fake: FakeItc4001):
    fake.registers[":SOUR:CURR:LIM"] = "3.000000000E-02"
    source = connected(ThorlabsItc4001, fake)
    assert fake.registers[":SOUR:CURR:LIM"] == "3.000000000E-02"
    with pytest.raises(LimitError, match=r"dev_current: 0.04 A is above the bound of 0.03 A"):
        source.current.set(0.04)


def test_a_diode_is_driven(source: Any):
    source.current.set(0.02).wait(WAIT_S)
    source.trigger().wait(WAIT_S)
    assert (source.measured_current.last, source.diode_voltage.last) == (0.0, 0.0)
    source.emission.set(True).wait(WAIT_S)
    source.trigger().wait(WAIT_S)
    assert (source.measured_current.last, source.diode_voltage.last) == (0.02, 2.0)


@pytest.mark.parametrize(
    ("options", "current_a", "bound"),
    [({}, 0.0451, "0.045"), ({"max_current_a": 0.2}, 0.3, "0.2"), ({"max_current_a": 0.01}, 0.02, "0.01")],
)
def test_more_than_the_diode_stands_is_refused_before_anything_is_sent(
    connected: Any, fake: FakeItc4001, options: dict[str, float], current_a: float, bound: str
):
    source = connected(ThorlabsItc4001, fake, **options)
    before = len(fake.written)
    with pytest.raises(LimitError, match=f"dev_current: {current_a:g} A is above the bound of {bound} A"):
        source.current.set(current_a)
    assert len(fake.written) == before


@pytest.mark.parametrize("max_current_a", [0.0, -0.1, 1.5, float("nan")])
def test_limits_that_the_model_does_not_have_are_refused(fake: FakeItc4001, max_current_a: float):
    with pytest.raises(LocalProtocolError, match="max_current_a"):
        ThorlabsItc4001("memory", name="dev", max_current_a=max_current_a, transport=fake)


def test_what_keeps_it_dark_is_told(source: Any, fake: FakeItc4001):
    fake.interlocked = True
    with pytest.raises(AcquisitionError, match=r"lab\.dev: the output stays off: keylock, interlock open"):
        source.emission.set(1).wait(WAIT_S)


def test_a_temperature_is_waited_for_on_the_labs_clock(source: Any, clock: Any):
    source.temperature_control.set(1).wait(WAIT_S)
    began_ps = clock.now_ps()
    source.temperature_setpoint.set(20.0).wait(WAIT_S)
    assert source.temperature.last == pytest.approx(20.0, abs=0.05)
    assert clock.now_ps() - began_ps == 8 * 10**12


def test_without_the_cooler_a_temperature_is_only_set(source: Any, fake: FakeItc4001, clock: Any):
    source.temperature_setpoint.set(20.0).wait(WAIT_S)
    assert clock.now_ps() == 0
    assert float(fake.registers[":SOUR2:TEMP"]) == 20.0


def test_a_temperature_that_is_never_reached_is_reported(connected: Any, fake: FakeItc4001):
    source = connected(ThorlabsItc4001, fake, settling_timeout_s=30.0)
    fake.stuck = True
    fake.registers[":OUTP2"] = "1"
    with pytest.raises(AcquisitionError, match=r"lab\.dev: after 30 s at 25.000 °C on the way to 40.000 °C"):
        source.temperature_setpoint.set(40.0).wait(WAIT_S)
    assert source.patience_s > 60.0


def test_the_safe_state_does_not_wait_for_a_temperature(connected: Any, fake: FakeItc4001):
    source = connected(ThorlabsItc4001, fake, settling_timeout_s=1e9)
    source.emission.set(1).wait(WAIT_S)
    fake.stuck = True
    fake.registers[":OUTP2"] = "1"
    fake.measured.clear()
    move = source.temperature_setpoint.set(40.0)
    assert fake.measured.wait(WAIT_S)
    source.make_safe().wait(WAIT_S)
    with pytest.raises(AcquisitionError, match=r"lab\.dev: given up at 25.000 °C"):
        move.wait(WAIT_S)
    assert (fake.registers[":OUTP"], fake.registers[":OUTP2"]) == ("0", "1")
    fake.stuck = False
    source.temperature_setpoint.set(22.0).wait(WAIT_S)


def test_a_scan_records_the_current(source: Any, recorded: Any):
    source.emission.set(1).wait(WAIT_S)
    events = recorded(bp.scan([source], source.current, 0.0, 0.045, 4))
    assert [event["dev_measured_current"] for event in events] == pytest.approx([0, 0.015, 0.03, 0.045])


def test_conditions_have_names():
    assert obstacles(0) == []
    assert obstacles(1 << 3 | 1 << 14 | 1 << 6) == ["current limit", "condition bit 6", "overtemperature"]


def test_commands_are_as_the_reference_has_them():
    assert Current.set(0.0125).message == b":SOUR:CURR 0.012500"
    assert TemperatureSetpoint.set(23).message == b":SOUR2:TEMP 23.000"
