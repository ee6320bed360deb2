from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.firmware.general_photonics_mpc202 import GeneralPhotonicsMpc202
from sim_devices.firmware.general_photonics_psy201 import GeneralPhotonicsPsy201


def stokes_of(index: int):
    return lambda settings: 0.98 * settings["stokes"][index]


@pytest.fixture
def mpc(held):
    return GeneralPhotonicsMpc202({"scrambler": held}, serial_number="7").session()


@pytest.fixture
def psy(held):
    held.observables |= {f"s{index + 1}": stokes_of(index) for index in range(3)}
    held.observables["dop"] = lambda _: 0.98
    return GeneralPhotonicsPsy201({"synthesizer": held}, serial_number="9").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\r\n").decode()


def error(line) -> str:
    return ask(line, ":SYST:ERR?").rstrip("\r\n")


MPC_SCRIPT = (
    b"*IDN?\r\n:conf:wlen 1552;wlen?\r\n:SCR:DISC:RATE 20000\r\n:SCR:DISC:RATE?;STAT?\r\n:SCRAMBLE:TORNADO:TYPE 1\n"
    b":SCR:TORN:TYPE?;STAT ON;STAT?;:SCR:DISC:STAT?\r\n*OPC?\r\n"
    b":SCR:NOISE:STAT ON\r\n:SYST:ERR?;*RST;:SCR:TORN:STAT?\r\n"
)
MPC_REPLIES = (
    b"General Photonics,MPC-202,7,V1.0\r\n1552\r\n20000.00;OFF\r\n1;ON;OFF\r\n1\r\n"
    b'-113,"Undefined header";OFF\r\n'
)


@given(st.lists(st.integers(0, len(MPC_SCRIPT)), max_size=8))
def test_a_conversation_in_any_chunking(cuts):
    line = GeneralPhotonicsMpc202({}, serial_number="7").session()
    edges = [0, *sorted(cuts), len(MPC_SCRIPT)]
    replies = [line.feed(MPC_SCRIPT[begin:end]) for begin, end in pairwise(edges)]
    assert b"".join(replies) == MPC_REPLIES


def scrambling(held) -> tuple[object, object, object]:
    return held.setting("mode"), held.setting("rate_hz"), held.setting("scrambling_on")


def test_one_scrambling_at_a_time(mpc, held):
    assert scrambling(held) == ("discrete", 100.0, False)
    ask(mpc, ":SCR:RAYL:RATE 1.5;STAT ON")
    assert scrambling(held) == ("rayleigh", 1.5, True)
    ask(mpc, ":SCR:RAYL:RATE 2")
    assert scrambling(held) == ("rayleigh", 2.0, True)
    ask(mpc, ":SCR:TRI:STAT 1")
    assert scrambling(held) == ("triangle", 100.0, True)
    ask(mpc, ":SCR:RAYL:STAT OFF")
    assert scrambling(held) == ("triangle", 100.0, True)
    ask(mpc, ":SCR:TRI:STAT OFF")
    assert scrambling(held) == ("triangle", 100.0, False)
    assert held.lab_time.now_ps() == 0


@pytest.mark.parametrize(
    ("mode", "largest"), [("DISC", 20_000), ("TRI", 2000), ("RAYL", 2000), ("TORN", 60_000)]
)
def test_rates_have_the_range_of_their_mode(mpc, mode, largest):
    for rate in (0.01, largest):
        ask(mpc, f":SCR:{mode}:RATE {rate}")
        assert float(ask(mpc, f":SCR:{mode}:RATE?")) == rate
    for rate in (0.009, largest + 1):
        ask(mpc, f":SCR:{mode}:RATE {rate}")
        assert error(mpc) == '-222,"Data out of range"'
    assert float(ask(mpc, f":SCR:{mode}:RATE?")) == largest


@pytest.mark.parametrize("command", [":CONF:WLEN 1400", ":SCR:TORN:TYPE 2", ":SCR:DISC:STAT MAYBE"])
def test_what_is_refused(mpc, command):
    assert ask(mpc, command) == ""
    assert error(mpc) != '0,"No error"'
    assert ask(mpc, ":CONF:WLEN?;:SCR:TORN:TYPE?;:SCR:DISC:STAT?") == "1550;0;OFF\r\n"


PSY_SCRIPT = (
    b"*idn?\r\n:CONT:SOP 0,3,4\r\n:MEAS:SOP?\r\n:MEAS:DOP?\r\n:CONT:ANGL 90,90;:MEAS:SOP?\r\n:CONT:SOP 0,0,0\r\n"
    b":SYST:ERR?\r\n:CONT:SCR:TORN:RATE 60000;TYPE 1;STAT ON;STAT?\r\n:CONT:SCR:TRI:STAT?;RATE?\r\n*OPC?\r\n"
)
PSY_REPLIES = (
    b"General Photonics,PSY-201,9,V1.0\r\n0.0000,0.5880,0.7840\r\n0.9800\r\n0.0000,0.9800,0.0000\r\n"
    b'-222,"Data out of range"\r\nON\r\nOFF;100.00\r\n1\r\n'
)


@pytest.mark.parametrize("length", [1, 2, 7, 33, len(PSY_SCRIPT)])
def test_a_conversation_with_the_synthesizer(psy, length):
    chunks = (PSY_SCRIPT[at : at + length] for at in range(0, len(PSY_SCRIPT), length))
    assert b"".join(map(psy.feed, chunks)) == PSY_REPLIES


def test_states_are_normalised(psy, held):
    ask(psy, ":CONT:SOP 1E3,-1E3,0")
    assert held.setting("stokes") == pytest.approx((0.5**0.5, -(0.5**0.5), 0.0))


@pytest.mark.parametrize(
    ("angles", "stokes"),
    [("0,90", (1, 0, 0)), ("90,90", (0, 1, 0)), ("200,0", (0, 0, 1)), ("360,180", (0, 0, -1))],
)
def test_angles_on_the_sphere(psy, held, angles, stokes):
    ask(psy, f":CONT:ANGL {angles}")
    assert held.setting("stokes") == pytest.approx(stokes, abs=1e-12)


@pytest.mark.parametrize(
    "command", [":CONT:ANGL 361,0", ":CONT:ANGL 0,181", ":CONT:SOP 1,2", ":CONT:SOP a,b,c"]
)
def test_what_is_refused_changes_nothing(psy, held, command):
    assert ask(psy, command) == ""
    assert error(psy) != '0,"No error"'
    assert held.setting("stokes") == (1.0, 0.0, 0.0)


def test_setting_a_state_stops_the_scrambling(psy):
    ask(psy, ":CONT:SCR:DISC:STAT ON")
    ask(psy, ":CONT:SOP 0,1,0")
    assert ask(psy, ":CONT:SCR:DISC:STAT?") == "OFF\r\n"


def test_instruments_connected_to_nothing_work():
    assert ask(GeneralPhotonicsPsy201({}, serial_number="9").session(), ":MEAS:DOP?") == "0.0000\r\n"
    assert ask(GeneralPhotonicsMpc202({}, serial_number="7").session(), ":SCR:DISC:STAT ON;STAT?") == "ON\r\n"
