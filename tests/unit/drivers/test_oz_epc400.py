"""OzEpc400 against its transcript and against four squeezers of our own."""

import re
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.simulators import check_limits
from ophyd.utils import LimitError

from drivers.polarization_controller import oz_epc400_codec as codec
from drivers.polarization_controller.oz_epc400 import OzEpc400
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.scripted import ScriptedTransport
from qdci_lab.wire.transcript import load_transcript

list_scan: Any = bp.list_scan
TRANSCRIPT = load_transcript(Path(__file__).parents[2] / "transcripts" / "oz_epc400.toml")


class Squeezers:
    """Four voltages in mV; `stuck` channels acknowledge and do not move."""

    def __init__(self, *, stuck: tuple[int, ...] = ()) -> None:
        self.millivolts = {1: 0, 2: 0, 3: 0, 4: 0}
        self.mode = "AC(Sine)"
        self.stuck = stuck
        self.said: list[str] = []

    def answer(self, data: bytes) -> bytes:
        assert data.endswith(b"\r\n")
        word = data.decode().strip()
        self.said.append(word)
        return f"{self.reply(word)}\r\n".encode()

    def reply(self, word: str) -> str:
        if word == "M?":
            return f"Work Mode: {self.mode}\r\nDone"
        if word == "MDC":
            self.mode = "DC"
            return "Set To DC Mode\r\nDone"
        if word == "V?":
            levels = " ".join(f"CH{channel} {level:+05d}" for channel, level in self.millivolts.items())
            return f"Voltage(mV): {levels}\r\nDone"
        if match := re.fullmatch(r"V([1-4]),([+-]?\d+)", word):
            channel, level = int(match[1]), int(match[2])
            if channel not in self.stuck:
                self.millivolts[channel] = level
            return f"Set CH{channel} DC Voltage at: {level}mV\r\nDone"
        return f"{word}\r\nError!"


def connected(squeezers: Squeezers) -> OzEpc400:
    device = OzEpc400(
        "memory", name="pc", label="bob.pc", transport=MemoryTransport(squeezers.answer, chunk=7)
    )
    device.connect()
    return device


def test_transcript() -> None:
    transport = ScriptedTransport(TRANSCRIPT.exchanges, terminator=b"\r\n", reply_end=b"\r\n", chunk=5)
    controller = OzEpc400("scripted", name="pc", label="bob.pc", transport=transport)
    ask = controller.connection.query
    assert ask(codec.work_mode()) == "AC(Sine)"
    ask(codec.choose_dc())
    assert ask(codec.work_mode()) == "DC"
    controller.apply_voltages((2.2, 5.0, -1.0, -4.0))
    assert controller.ask_voltages() == (2.2, 5.0, -1.0, -4.0)
    refused = codec.Query.text("V1,6000", codec.voltages().parse)
    with pytest.raises(InstrumentError, match=r"bob\.pc: error -1, 'Error!' in answer to 'V1,6000'"):
        ask(refused)
    assert transport.exhausted


def test_connecting_ends_scrambling() -> None:
    squeezers = Squeezers()
    connected(squeezers)
    assert squeezers.mode == "DC"


def test_another_instrument_is_not_taken_for_a_controller() -> None:
    device = OzEpc400("memory", name="pc", transport=MemoryTransport(lambda _data: b"Hello\r\nDone\r\n"))
    with pytest.raises(RemoteProtocolError, match="work mode"):
        device.connect()
    silent = OzEpc400("memory", name="pc", transport=MemoryTransport(lambda _data: b""), timeout_s=0.1)
    with pytest.raises(TransportError):
        silent.connect()


def test_moving_one_channel_keeps_the_whole_in_step() -> None:
    controller = connected(Squeezers())
    controller.voltage_3.set(1.2344).wait(5)
    assert controller.voltage_3.last == 1.234
    assert controller.voltages.last == (0.0, 0.0, 1.234, 0.0)


@pytest.mark.parametrize(
    "volts", [(1.0, -2.5, 5.0, -5.0), [0.001, 0.0, 0.0, 3.0], np.array([1.0, 2.0, 3.0, 4.0])]
)
def test_moving_the_device(volts: object) -> None:
    squeezers = Squeezers()
    controller = connected(squeezers)
    RunEngine({})(bps.mv(controller, volts))
    assert controller.position == pytest.approx(np.asarray(volts))
    assert list(squeezers.millivolts.values()) == [round(1000 * volt) for volt in np.asarray(volts)]


def test_limit_error_names_channel_value_unit_and_bound() -> None:
    squeezers = Squeezers()
    controller = connected(squeezers)
    said = len(squeezers.said)
    message = r"pc_voltages, channel 3: 5.5 V is above the bound of 5 V"
    with pytest.raises(LimitError, match=message):
        controller.set((0, 0, 5.5, 0))
    with pytest.raises(LimitError, match=message):
        check_limits(list_scan([], controller.voltages, [(0, 0, 0, 0), (0, 0, 5.5, 0)]))
    with pytest.raises(LimitError, match="not a finite number"):
        controller.voltage_1.set(float("nan"))
    wrong_values: Any = ((0, 0, 0), (0, 0, 0, 0, 0), 1.0)
    for wrong in wrong_values:
        with pytest.raises(LocalProtocolError, match="4 channels"):
            controller.check_value(wrong)
    assert len(squeezers.said) == said
    assert controller.voltages.limits == (-5.0, 5.0)


@pytest.mark.parametrize(
    ("channel", "voltage_v"), [(0, 1.0), (5, 1.0), (1, 5.001), (1, float("nan")), (1, float("inf"))]
)
def test_codec_refuses_what_the_protocol_does_not_have(channel: int, voltage_v: float) -> None:
    with pytest.raises(LocalProtocolError):
        codec.set_voltage(channel, voltage_v)


def test_wrong_acknowledgement_is_the_instruments_mistake() -> None:
    with pytest.raises(RemoteProtocolError):
        codec.set_voltage(1, 2.0).parse(b"Set CH2 DC Voltage at: 2000mV\r\nDone")
    with pytest.raises(RemoteProtocolError):
        codec.set_voltage(1, 2.0).parse(b"Done")
    with pytest.raises(RemoteProtocolError):
        codec.voltages().parse(b"Voltage(mV): CH1 +2200 CH2 +5000\r\nDone")
    with pytest.raises(RemoteProtocolError):
        codec.choose_dc().parse(b"Set To AC Mode\r\nDone")


def test_channel_that_does_not_follow_fails_the_move() -> None:
    controller = connected(Squeezers(stuck=(2,)))
    with pytest.raises(AcquisitionError, match="pc_voltages: set to"):
        controller.set((1, 1, 1, 1)).wait(5)


def test_reading_does_no_io_and_gives_units() -> None:
    squeezers = Squeezers()
    controller = connected(squeezers)
    controller.set((1, 2, 3, 4)).wait(5)
    said = len(squeezers.said)
    assert [entry["value"] for entry in controller.read().values()] == [1.0, 2.0, 3.0, 4.0]
    assert {entry.get("units") for entry in controller.describe().values()} == {"V"}
    whole = controller.voltages.describe()["pc_voltages"]
    assert (whole["dtype"], whole["shape"], whole["units"]) == ("array", [4], "V")
    assert len(squeezers.said) == said


def test_one_trigger_is_one_question() -> None:
    squeezers = Squeezers()
    controller = connected(squeezers)
    said = len(squeezers.said)
    squeezers.millivolts[4] = -250
    controller.trigger().wait(5)
    assert squeezers.said[said:] == ["V?"]
    assert controller.voltage_4.last == -0.25


def test_scan_over_the_four_voltages_together() -> None:
    controller = connected(Squeezers())
    events: list[list[float]] = []

    def keep(name: str, document: dict) -> None:
        if name == "event":
            events.append([document["data"][f"pc_voltage_{channel}"] for channel in (1, 2, 3, 4)])

    engine = RunEngine({})
    engine.subscribe(keep)
    points = [[0.0, 1.0, 2.0, 3.0], [-1.0, 0.5, 0.25, 0.125]]
    engine(list_scan([controller], controller.voltages, points))
    assert events == points
