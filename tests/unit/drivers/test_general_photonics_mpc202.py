"""GeneralPhotonicsMpc202 against its transcript and against a scrambler that forgets nothing."""

import re
from typing import Any

import pytest
from ophyd.utils import LimitError

from drivers.polarization_controller import general_photonics_codec as family
from drivers.polarization_controller import general_photonics_mpc202_codec as codec
from drivers.polarization_controller.general_photonics_mpc202 import GeneralPhotonicsMpc202
from qdci_lab.errors import AcquisitionError, LocalProtocolError
from qdci_lab.transport.memory import MemoryTransport

WAIT_S = 5.0


class Scrambler:
    """Registers that are set without a word; a second way to scramble is ignored while one is on."""

    def __init__(self) -> None:
        self.registers = {
            "*IDN": "General Photonics,MPC-202,0001,1.0",
            ":CONF:WLEN": "1550",
            ":SCR:TORN:TYPE": "0",
            **{f":SCR:{mode}:STAT": "OFF" for mode in codec.MODES},
            **{f":SCR:{mode}:RATE": "100.00" for mode in codec.MODES},
        }
        self.deaf = False
        self.heard: list[str] = []

    def answer(self, data: bytes) -> bytes:
        assert data.endswith(b"\r\n")
        word = data.decode().strip()
        self.heard.append(word)
        if word.endswith("?"):
            return f"{self.registers[word[:-1]]}\r\n".encode()
        header, value = word.split(" ")
        assert header in self.registers
        states = [state for key, state in self.registers.items() if key.endswith("STAT")]
        if not self.deaf and not (value == "ON" and "ON" in states):
            self.registers[header] = value
        return b""

    def on(self) -> list[str]:
        return [key.split(":")[2] for key, value in self.registers.items() if value == "ON"]


@pytest.fixture
def hardware() -> Scrambler:
    return Scrambler()


@pytest.fixture
def scrambler(connected: Any, hardware: Scrambler) -> Any:
    return connected(GeneralPhotonicsMpc202, MemoryTransport(hardware.answer, chunk=2))


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted_line: Any):
    scrambler, transport = scripted_line(GeneralPhotonicsMpc202, transcript("general_photonics_mpc202"))
    assert "MPC-202" in scrambler.identify()
    scrambler.rayleigh_rate.set(250.0).wait(WAIT_S)
    scrambler.scrambling.set("RAYL").wait(WAIT_S)
    scrambler.tornado_type.set(1).wait(WAIT_S)
    scrambler.wavelength.set(1550.0).wait(WAIT_S)
    assert transport.exhausted


def test_connecting_reads_everything_and_changes_nothing(scrambler: Any, hardware: Scrambler):
    assert scrambler.scrambling.last == "OFF"
    assert scrambler.discrete_rate.last == 100.0
    assert all(word.endswith("?") for word in hardware.heard)


def test_one_way_to_scramble_ends_before_another_begins(scrambler: Any, hardware: Scrambler):
    for choice, on in (("TORN", ["TORN"]), ("DISC", ["DISC"]), ("OFF", []), ("TRI", ["TRI"])):
        scrambler.scrambling.set(choice).wait(WAIT_S)
        assert scrambler.scrambling.last == choice
        assert hardware.on() == on


@pytest.mark.parametrize(
    ("attribute", "mode"),
    [
        ("discrete_rate", "DISC"),
        ("triangle_rate", "TRI"),
        ("rayleigh_rate", "RAYL"),
        ("tornado_rate", "TORN"),
    ],
)
def test_rates_have_their_own_bounds(scrambler: Any, hardware: Scrambler, attribute: str, mode: str):
    signal = getattr(scrambler, attribute)
    low, high = codec.RATE_RANGES_HZ[mode]
    assert signal.limits == (low, high)
    for rate_hz in (low, 12.344, high):
        signal.set(rate_hz).wait(WAIT_S)
        assert float(hardware.registers[f":SCR:{mode}:RATE"]) == pytest.approx(rate_hz, abs=0.005)
    with pytest.raises(LimitError, match=f"dev_{attribute}: .* Hz is above"):
        signal.set(high + 1.0)


def test_a_setting_that_is_ignored_is_reported(scrambler: Any, hardware: Scrambler):
    hardware.deaf = True
    with pytest.raises(AcquisitionError, match="dev_scrambling: set to DISC, but the instrument reports OFF"):
        scrambler.scrambling.set("DISC").wait(WAIT_S)
    with pytest.raises(AcquisitionError, match="dev_wavelength: set to"):
        scrambler.wavelength.set(1490.0).wait(WAIT_S)


@pytest.mark.parametrize("choice", ["", "disc", "ON", "SAW", 0, None])
def test_a_way_to_scramble_that_is_none_is_not_even_said(scrambler: Any, hardware: Scrambler, choice: Any):
    heard = len(hardware.heard)
    with pytest.raises(LocalProtocolError, match="OFF, DISC, TRI, RAYL, TORN"):
        scrambler.scrambling.set(choice)
    assert len(hardware.heard) == heard


def test_codec_refuses_what_the_scrambler_does_not_have():
    for build in (
        lambda: codec.set_rate("RAYL", 2001.0),
        lambda: codec.set_rate("SAW", 1.0),
        lambda: codec.set_rate("DISC", float("nan")),
        lambda: codec.set_tornado_type(2),
        lambda: family.set_wavelength(1000.0),
    ):
        with pytest.raises(LocalProtocolError):
            build()


def test_reading_does_no_io_and_gives_units(scrambler: Any, hardware: Scrambler):
    heard = len(hardware.heard)
    keys = {**scrambler.describe(), **scrambler.describe_configuration()}
    assert {key.get("units") for key in keys.values() if key["dtype"] != "string"} == {"Hz", "1", "nm"}
    assert {re.sub("dev_", "", name) for name in scrambler.read()} == {
        "scrambling", "discrete_rate", "triangle_rate", "rayleigh_rate", "tornado_rate",
    }  # fmt: skip
    assert len(hardware.heard) == heard
