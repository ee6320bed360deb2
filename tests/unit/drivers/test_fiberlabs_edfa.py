"""FiberlabsEdfa against its transcript and against a small amplifier of our own."""

import math
from pathlib import Path
from typing import Any

import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from bluesky.utils import FailedStatus
from ophyd.utils import LimitError

from drivers.amplifier import fiberlabs_edfa_codec as codec
from drivers.amplifier.fiberlabs_edfa import FiberlabsEdfa
from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.scripted import ScriptedTransport
from qdci_lab.wire.transcript import load_transcript

list_scan: Any = bp.list_scan
TRANSCRIPT = load_transcript(Path(__file__).parents[2] / "transcripts" / "fiberlabs_edfa.toml")


class Amplifier:
    """Answers as the transcript does; `said` is all that was asked of it."""

    def __init__(self, end: bytes = b"\r", reply_end: bytes = b"\r") -> None:
        self.end, self.reply_end = end, reply_end
        self.said: list[str] = []
        self.settings = {"ACTIVE": "0", "SETMOD,1": "0", "SETALC,1": "10.0"}
        self.monitors = {
            "MONOUT": "9.97,N/A",
            "MONIN": "-3.1,N/A",
            "MONCTMP": "28.5",
            "ALMSTAT": "ALMSTAT,0A",
        }

    def answer(self, data: bytes) -> bytes:
        assert data.endswith(self.end)
        word = data.removesuffix(self.end).decode()
        self.said.append(word)
        return self.reply(word).encode() + self.reply_end

    def reply(self, word: str) -> str:
        key, _, value = word.rpartition(",")
        if word == "*IDN?":
            return "FiberLabs,AMP,1,4.0"
        if word in self.monitors:
            return self.monitors[word]
        if key in self.settings:
            if key == "SETALC,1" and float(value) > 15.0:
                return "??ARG"
            if key == "SETMOD,1":
                self.settings["ACTIVE"] = "0"
            self.settings[key] = f"{float(value):.1f}" if key == "SETALC,1" else value
            return word
        return f"{word},{self.settings[word]}" if word in self.settings else "??CMD"


def connected(amplifier: Amplifier, **options: Any) -> FiberlabsEdfa:
    device = FiberlabsEdfa(
        "memory", name="edfa", label="alice.amplifier", transport=MemoryTransport(amplifier.answer), **options
    )
    device.connect()
    return device


def test_transcript() -> None:
    transport = ScriptedTransport(TRANSCRIPT.exchanges, terminator=b"\r", reply_end=b"\r", chunk=3)
    edfa = FiberlabsEdfa("scripted", name="edfa", label="alice.amplifier", transport=transport)
    ask = edfa.connection.query
    assert ask(codec.IDENTITY) == "FiberLabs,AMP-FL8013-CB-20,00123,4.0"
    ask(codec.Emission.set(False))
    assert ask(codec.Emission.get()) is False
    ask(codec.ControlMode.set("ALC"))
    assert ask(codec.ControlMode.get()) == "ALC"
    ask(codec.OutputPowerSetpoint.set(13.0))
    assert ask(codec.OutputPowerSetpoint.get()) == 13.0
    assert ask(codec.output_power()) == 13.02
    assert ask(codec.input_power()) == -3.1
    assert ask(codec.case_temperature()) == 28.5
    assert ask(codec.alarm_status()) == 4
    with pytest.raises(
        InstrumentError, match=r"alice\.amplifier: error -1, '\?\?ARG' in answer to 'SETALC,1,99.00'"
    ):
        ask(codec.OutputPowerSetpoint.set(99.0))
    assert transport.exhausted


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"SETALC,1,12.5", 12.5),
        (b"SETALC, 1, 12.5", 12.5),
        (b"setalc,1,-3", -3.0),
    ],
)
def test_echo_with_or_without_blanks(reply: bytes, value: float) -> None:
    assert codec.OutputPowerSetpoint.get().parse(reply) == value


@pytest.mark.parametrize(
    "reply", [b"12.5", b"SETALC,2,12.5", b"SETALC,1", b"SETMOD,1,0", b"", b"SETALC,1,high"]
)
def test_wrong_echo_is_the_instruments_mistake(reply: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        codec.OutputPowerSetpoint.get().parse(reply)


def test_monitor_with_and_without_echo() -> None:
    assert codec.output_power().parse(b"MONOUT,9.5,N/A") == 9.5
    assert math.isnan(codec.output_power().parse(b"N/A"))


@pytest.mark.parametrize(
    ("reply", "status"), [(b"ALMSTAT,0", 0), (b"ALMSTAT,0x1F", 31), (b"ALMSTAT,ff", 255)]
)
def test_alarm_status_is_hexadecimal(reply: bytes, status: int) -> None:
    assert codec.alarm_status().parse(reply) == status
    with pytest.raises(RemoteProtocolError):
        codec.alarm_status().parse(b"ALMSTAT,xyz")


@pytest.mark.parametrize("value", [2, -1, "off", 0.5, None])
def test_emission_is_on_or_off(value: Any) -> None:
    with pytest.raises(LocalProtocolError):
        codec.Emission.set(value)


def test_setting_reads_back_what_the_instrument_rounded() -> None:
    amplifier = Amplifier()
    edfa = connected(amplifier)
    edfa.output_power_setpoint.set(12.34).wait(5)
    assert edfa.output_power_setpoint.last == 12.3
    assert amplifier.said[-2:] == ["SETALC,1,12.34", "SETALC,1"]


def test_limits_are_checked_before_a_word_is_said() -> None:
    amplifier = Amplifier()
    edfa = connected(amplifier, max_output_power_dbm=14.0)
    said = len(amplifier.said)
    with pytest.raises(
        LimitError, match=r"edfa_output_power_setpoint: 14.5 dBm is above the bound of 14 dBm"
    ):
        edfa.output_power_setpoint.set(14.5)
    with pytest.raises(LimitError):
        edfa.emission.set(2)
    with pytest.raises(LocalProtocolError, match="ALC, ACC"):
        edfa.control_mode.set("AGC")
    assert len(amplifier.said) == said
    assert edfa.output_power_setpoint.limits == (-10.0, 14.0)


def test_refusal_names_instrument_and_message() -> None:
    edfa = connected(Amplifier(), max_output_power_dbm=23.0)
    with pytest.raises(InstrumentError, match=r"alice\.amplifier.*ARG.*SETALC,1,20\.00"):
        edfa.output_power_setpoint.set(20.0).wait(5)


def test_changing_the_control_mode_shows_that_the_light_went_off() -> None:
    edfa = connected(Amplifier())
    edfa.emission.set(1).wait(5)
    assert edfa.emission.last is True
    edfa.control_mode.set("ACC").wait(5)
    assert edfa.emission.last is False
    assert edfa.control_mode.last == "ACC"


def test_safe_state_is_dark() -> None:
    amplifier = Amplifier()
    edfa = connected(amplifier)
    edfa.emission.set(True).wait(5)
    edfa.make_safe().wait(5)
    assert amplifier.settings["ACTIVE"] == "0"
    assert edfa.emission.last is False


def test_front_panel_may_say_line_feed() -> None:
    edfa = connected(Amplifier(end=b"\n", reply_end=b"\r\n"), delimiter="LF")
    assert edfa.output_power.last == 9.97


def test_read_and_describe_do_no_io_and_give_units() -> None:
    amplifier = Amplifier()
    edfa = connected(amplifier)
    said = len(amplifier.said)
    reading, description = edfa.read(), edfa.describe()
    assert len(amplifier.said) == said
    assert reading["edfa_output_power"]["value"] == 9.97
    assert reading["edfa_alarm_status"]["value"] == 10
    numbers = {key: entry.get("units") for key, entry in description.items() if entry["dtype"] != "string"}
    assert numbers == {
        "edfa_output_power_setpoint": "dBm", "edfa_emission": "1", "edfa_output_power": "dBm",
        "edfa_input_power": "dBm", "edfa_case_temperature": "°C", "edfa_alarm_status": "1",
    }  # fmt: skip
    assert edfa.read_configuration()["edfa_control_mode"]["value"] == "ALC"


def test_scan_of_the_output_power() -> None:
    edfa = connected(Amplifier())
    values: list[float] = []
    engine = RunEngine({})
    engine.subscribe(
        lambda name, document: (
            values.append(document["data"]["edfa_output_power_setpoint"]) if name == "event" else None
        )
    )
    engine(list_scan([edfa], edfa.output_power_setpoint, [9.0, 10.5, 12.0]))
    assert values == [9.0, 10.5, 12.0]


def test_failed_setting_ends_the_run_with_the_instruments_words() -> None:
    edfa = connected(Amplifier(), max_output_power_dbm=23.0)
    with pytest.raises(FailedStatus) as failure:
        RunEngine({})(list_scan([edfa], edfa.output_power_setpoint, [9.0, 20.0]))
    assert isinstance(failure.value.__cause__, InstrumentError)
