"""SFifteenSpad against its transcript and against a detector of our own."""

from pathlib import Path
from typing import Any

import bluesky.plans as bp
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from drivers.detector import s_fifteen_spad_codec as codec
from drivers.detector.s_fifteen_spad import SFifteenSpad
from qdci_lab.errors import AcquisitionError, LocalProtocolError, RemoteProtocolError
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.scripted import ScriptedTransport
from qdci_lab.wire.transcript import load_transcript

TRANSCRIPT = load_transcript(Path(__file__).parents[2] / "transcripts" / "s_fifteen_spad.toml")


class Detector:
    """Remembers what it is told; settings in `deaf` are ignored without a word."""

    def __init__(self, *, identity: str = "SPD-InGaAs", deaf: tuple[str, ...] = ()) -> None:
        self.values = {"hvolt": 58.0, "threshvolt": 0.1, "settemp": -40.0, "time": 1000.0}
        self.identity = identity
        self.deaf = deaf
        self.clicks = 2500
        self.said: list[str] = []

    def answer(self, data: bytes) -> bytes:
        assert data.endswith(b"\r\n")
        line = data.decode().strip()
        self.said.append(line)
        word, _, value = line.partition(" ")
        if value:
            if word not in self.deaf:
                self.values[word] = float(value)
            return b""
        replies = {"*idn?": self.identity, "temp?": "-39.75", "counts?": str(self.clicks)}
        replies |= {f"{name}?": f"{level:g}" for name, level in self.values.items()}
        return replies.get(line, "Unknown command").encode() + b"\r\n"


def connected(detector: Detector, **options: Any) -> SFifteenSpad:
    device = SFifteenSpad(
        "memory", name="spad", label="bob.spad", transport=MemoryTransport(detector.answer), **options
    )
    device.connect()
    return device


def test_transcript() -> None:
    transport = ScriptedTransport(TRANSCRIPT.exchanges, terminator=b"\r\n", reply_end=b"\r\n", chunk=2)
    spad = SFifteenSpad("scripted", name="spad", transport=transport)
    ask, tell = spad.connection.query, spad.connection.command
    assert "SPD" in ask(codec.IDENTITY)
    tell(codec.BIAS_VOLTAGE_V.set(60.0))
    assert ask(codec.BIAS_VOLTAGE_V.get()) == 60.0
    tell(codec.THRESHOLD_VOLTAGE_V.set(-0.05))
    assert ask(codec.THRESHOLD_VOLTAGE_V.get()) == -0.05
    tell(codec.TARGET_TEMPERATURE_C.set(-40.0))
    assert ask(codec.TARGET_TEMPERATURE_C.get()) == -40.0
    assert ask(codec.temperature()) == -39.8
    tell(codec.INTEGRATION_TIME_S.set(0.5))
    assert ask(codec.INTEGRATION_TIME_S.get()) == 0.5
    assert ask(codec.counts()) == 1234
    assert transport.exhausted


def test_only_a_detector_is_accepted() -> None:
    with pytest.raises(RemoteProtocolError, match=r"bob\.spad: expected a S-Fifteen SPD.*Power meter"):
        connected(Detector(identity="Power meter"))


def test_settings_are_read_back() -> None:
    detector = Detector()
    spad = connected(detector)
    spad.bias_voltage.set(61.5).wait(5)
    spad.integration_time.set(0.25).wait(5)
    assert (spad.bias_voltage.last, spad.integration_time.last) == (61.5, 0.25)
    assert detector.values["time"] == 250.0


def test_setting_without_effect_is_noticed() -> None:
    spad = connected(Detector(deaf=("hvolt",)))
    with pytest.raises(
        AcquisitionError, match=r"spad_bias_voltage: set to 61 V, but the instrument reports 58.0 V"
    ):
        spad.bias_voltage.set(61).wait(5)


def test_limits() -> None:
    detector = Detector()
    spad = connected(detector)
    said = len(detector.said)
    with pytest.raises(LimitError, match="spad_bias_voltage: 300 V is above the bound of 250 V"):
        spad.bias_voltage.set(300)
    with pytest.raises(LimitError):
        spad.integration_time.set(0.0)
    assert len(detector.said) == said
    with pytest.raises(LocalProtocolError):
        codec.BIAS_VOLTAGE_V.set(float("nan"))


@pytest.mark.parametrize("reply", [b"Unknown command", b"-3", b"2.5", b"nan"])
def test_counts_are_whole_numbers(reply: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        codec.counts().parse(reply)


def test_counting_is_left_to_the_count_rate() -> None:
    detector = Detector()
    spad = connected(detector)
    spad.trigger().wait(5)
    assert "counts?" not in detector.said
    assert spad.count_rate.get() == 2500.0
    detector.values["time"] = 500.0
    assert spad.count_rate.get() == 5000.0


@pytest.mark.parametrize("on_trigger", [False, True])
def test_plan_counts_the_count_rate(on_trigger: bool) -> None:
    detector = Detector()
    spad = connected(detector, count_on_trigger=on_trigger)
    counted = detector.said.count("counts?")
    rates: list[float] = []
    engine = RunEngine({})
    engine.subscribe(
        lambda name, document: rates.append(document["data"]["spad_count_rate"]) if name == "event" else None
    )
    engine(bp.count([spad if on_trigger else spad.count_rate], num=2))
    assert rates == [2500.0, 2500.0]
    assert detector.said.count("counts?") == counted + 2


def test_reading_does_no_io_and_gives_units() -> None:
    detector = Detector()
    spad = connected(detector)
    said = len(detector.said)
    assert spad.read()["spad_temperature"]["value"] == -39.75
    units = {
        key: entry.get("units") for key, entry in {**spad.describe(), **spad.describe_configuration()}.items()
    }
    assert len(detector.said) == said
    assert units == {
        "spad_bias_voltage": "V", "spad_temperature": "°C", "spad_threshold_voltage": "V",
        "spad_target_temperature": "°C", "spad_integration_time": "s", "spad_identity": None,
    }  # fmt: skip
