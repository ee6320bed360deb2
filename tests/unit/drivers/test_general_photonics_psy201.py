"""GeneralPhotonicsPsy201 against its transcript and against a synthesizer that may miss its state."""

import math
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from hypothesis import given
from hypothesis import strategies as st
from ophyd.utils import LimitError

from drivers.polarization_controller import general_photonics_psy201_codec as codec
from drivers.polarization_controller.general_photonics_psy201 import GeneralPhotonicsPsy201
from qdci_lab.errors import AcquisitionError, LocalProtocolError, RemoteProtocolError
from qdci_lab.transport.memory import MemoryTransport

WAIT_S = 5.0


class Synthesizer:
    """Turns the light to the state that is asked for, `miss_deg` beside it, after `busy` questions."""

    def __init__(self) -> None:
        self.state = np.array([0.0, 1.0, 0.0])
        self.wavelength = "1550"
        self.miss_deg = 0.0
        self.dark = False
        self.busy = 0
        self.heard: list[str] = []

    def answer(self, data: bytes) -> bytes:
        assert data.endswith(b"\r\n")
        word = data.decode().strip()
        self.heard.append(word)
        reply = self.reply(word)
        return b"" if reply is None else f"{reply}\r\n".encode()

    def reply(self, word: str) -> str | None:
        match word.split(" "):
            case ["*IDN?"]:
                return "General Photonics,PSY-201,0001,1.0"
            case [":CONF:WLEN?"]:
                return self.wavelength
            case [":CONF:WLEN", value]:
                self.wavelength = value
            case [":MEAS:SOP?"]:
                return "0,0,0" if self.dark else ",".join(f"{part:.3f}" for part in self.state)
            case [":MEAS:DOP?"]:
                return "0.998"
            case ["*OPC?"]:
                self.busy -= 1
                return "0" if self.busy >= 0 else "1"
            case [":CONT:SOP", values]:
                wanted = np.array([float(part) for part in values.split(",")])
                across = np.cross(wanted, [0.3, 0.5, 0.7])
                turn = math.radians(self.miss_deg)
                self.state = wanted * math.cos(turn) + across / np.linalg.norm(across) * math.sin(turn)
            case _:
                raise AssertionError(word)
        return None


@pytest.fixture
def hardware() -> Synthesizer:
    return Synthesizer()


@pytest.fixture
def synthesizer(connected: Any, hardware: Synthesizer) -> Any:
    return connected(GeneralPhotonicsPsy201, MemoryTransport(hardware.answer, chunk=3))


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted_line: Any):
    synthesizer, transport = scripted_line(GeneralPhotonicsPsy201, transcript("general_photonics_psy201"))
    assert "PSY-201" in synthesizer.identify()
    synthesizer.wavelength.set(1550.0).wait(WAIT_S)
    synthesizer.setpoint.set((0.6, 0.0, 0.8)).wait(WAIT_S)
    assert synthesizer.stokes.last == (0.6, 0.0, 0.8)
    assert synthesizer.degree_of_polarization.get() == 0.998
    assert transport.exhausted


def test_before_a_state_was_asked_for_the_setpoint_is_what_is_measured(synthesizer: Any):
    assert synthesizer.position == (0.0, 1.0, 0.0)
    assert synthesizer.stokes.last == (0.0, 1.0, 0.0)


def test_a_plan_goes_to_a_state_of_any_length(synthesizer: Any, hardware: Synthesizer):
    RunEngine({})(bps.mv(synthesizer, (0.5, 0.0, -0.5)))
    assert ":CONT:SOP 0.7071,0.0000,-0.7071" in hardware.heard
    assert synthesizer.position == (0.5, 0.0, -0.5)
    assert synthesizer.stokes.last == (0.707, 0.0, -0.707)


def test_it_waits_until_the_state_is_there(synthesizer: Any, hardware: Synthesizer, clock: Any):
    hardware.busy = 4
    synthesizer.set((0.0, 0.0, 1.0)).wait(WAIT_S)
    assert clock.now_ps() == 4 * 20_000_000_000


def test_a_state_nearby_will_do(synthesizer: Any, hardware: Synthesizer):
    hardware.miss_deg = 2.5
    synthesizer.set((1.0, 0.0, 0.0)).wait(WAIT_S)
    assert codec.angle_between_deg(synthesizer.stokes.last, (1, 0, 0)) == pytest.approx(2.5, abs=0.1)


def test_a_state_that_is_missed_is_reported(synthesizer: Any, hardware: Synthesizer):
    hardware.miss_deg = 20.0
    with pytest.raises(
        AcquisitionError, match=r"dev_setpoint: \(1\.0, 0\.0, 0\.0\) was asked for.*20\.0 deg away"
    ):
        synthesizer.set((1.0, 0.0, 0.0)).wait(WAIT_S)


def test_darkness_is_reported(synthesizer: Any, hardware: Synthesizer):
    hardware.dark = True
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: .*is there light"):
        synthesizer.set((1.0, 0.0, 0.0)).wait(WAIT_S)


def test_states_that_are_none_are_not_even_said(synthesizer: Any, hardware: Synthesizer):
    heard = len(hardware.heard)
    with pytest.raises(LocalProtocolError, match="no direction"):
        synthesizer.set((0.0, 0.0, 0.0))
    with pytest.raises(LocalProtocolError, match="three Stokes parameters"):
        synthesizer.set((1.0, 0.0))
    with pytest.raises(LimitError, match=r"dev_setpoint, Stokes parameter 2: 1\.5 is above the bound of 1"):
        synthesizer.check_value((0.0, 1.5, 0.0))
    with pytest.raises(LimitError, match="nan"):
        synthesizer.check_value((0.0, float("nan"), 0.0))
    assert len(hardware.heard) == heard


def test_reading_does_no_io_and_gives_units(synthesizer: Any, hardware: Synthesizer):
    heard = len(hardware.heard)
    keys = {**synthesizer.describe(), **synthesizer.describe_configuration()}
    assert {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"} == {
        "dev_setpoint": "1", "dev_stokes": "1", "dev_degree_of_polarization": "1", "dev_wavelength": "nm",
    }  # fmt: skip
    assert keys["dev_stokes"]["shape"] == [3]
    assert len(hardware.heard) == heard


PARTS = st.floats(-1.0, 1.0)


@given(st.tuples(PARTS, PARTS, PARTS).filter(lambda parts: math.hypot(*parts) > 1e-3))
def test_every_direction_has_unit_length_and_stays(stokes: tuple[float, float, float]):
    unit = codec.normalised(stokes)
    assert math.hypot(*unit) == pytest.approx(1.0)
    assert codec.angle_between_deg(unit, stokes) == pytest.approx(0.0, abs=1e-5)
    assert codec.angle_between_deg(unit, [-part for part in unit]) == pytest.approx(180.0, abs=1e-5)


def test_angles_on_the_sphere():
    assert codec.go_to_angles(270.0, 45.5).message == b":CONT:ANGL 270.00,45.50"
    for azimuth_deg, polar_deg in ((-0.1, 0.0), (361.0, 0.0), (0.0, 181.0), (float("nan"), 0.0)):
        with pytest.raises(LocalProtocolError, match="angle"):
            codec.go_to_angles(azimuth_deg, polar_deg)


@pytest.mark.parametrize("reply", [b"", b"0.1,0.2", b"0.1,0.2,0.3,0.4", b"0.1,0.2,9.91E37"])
def test_states_that_are_none_are_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        codec.measured_state().parse(reply)
