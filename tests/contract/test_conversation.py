"""Conversations over the real wires: instruments that go away, late answers, many speakers, clients of other houses."""

import re
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
import pyvisa
import serial

from qdci_lab.errors import InstrumentError, TransportError, TransportTimeout
from qdci_lab.wire.message import Query

TCP = ("alice.awg", "alice.voa", "classical.laser", "classical.launch_voa", "classical.power_meter", "switch")
SCPI = (b"*IDN?", b"*OPC?", b"1")
QUESTIONS = {
    **dict.fromkeys(TCP, SCPI),
    "classical.amplifier": (b"*IDN?", b"ACTIVE", b"ACTIVE,0"),
    "bob.polarization_controller": (
        b"M?",
        b"V?",
        b"Voltage(mV): CH1 +0000 CH2 +0000 CH3 +0000 CH4 +0000\r\nDone",
    ),
    "bob.detectors": (b"*idn?", b"time?", b"1000"),
}
"""Two questions to each instrument, whose answers cannot be mixed up, and the answer to the second one."""

WAIT_S = 30.0
AT_ONCE_S = 1.0
every_wire = pytest.mark.parametrize("role", QUESTIONS)


def asking(message: bytes) -> Query[bytes]:
    return Query(message, bytes)


# Instruments that go away


@every_wire
def test_an_instrument_that_is_gone_is_named_at_once_and_found_again_by_the_same_device(bench, session, role):
    device = session.devices[role]
    identity = device.identity.get()
    bench.stop_device(role)
    try:
        for _ in range(3):
            began_s = time.monotonic()
            with pytest.raises(TransportError, match=rf"^{re.escape(role)}: "):
                device.identity.get()
            assert time.monotonic() - began_s < device.timeout_s + AT_ONCE_S
    finally:
        bench.start_device(role)
    assert device.identity.get() == identity
    device.trigger().wait(WAIT_S)


@pytest.mark.parametrize("role", TCP)
def test_one_that_was_away_unnoticed_costs_one_message(bench, session, role):
    device = session.devices[role]
    identity = device.identity.get()
    bench.stop_device(role)
    bench.start_device(role)
    with pytest.raises(TransportError, match=rf"^{re.escape(role)}: "):
        device.identity.get()
    assert device.identity.get() == identity


@every_wire
def test_an_answer_from_before_an_instrument_went_away_is_never_taken_for_a_later_one(bench, session, role):
    connection = session.devices[role].connection
    first, second, answer = QUESTIONS[role]
    assert connection.query(asking(first)) != answer
    with pytest.raises(TransportTimeout):
        connection.query(asking(first), timeout_s=0.0)
    bench.stop_device(role)
    with pytest.raises(TransportError):
        connection.query(asking(second))
    bench.start_device(role)
    assert [connection.query(asking(second)) for _ in range(3)] == [answer] * 3


def test_a_tagger_that_is_gone_is_named_and_found_again_by_the_same_device(bench, session):
    tagger = session.devices["bob.tagger"]
    tagger.acquisition_time.set(0.001).wait(WAIT_S)
    bench.stop_device("bob.tagger")
    for signal in (tagger.channel_mask, tagger.buffer_size):
        with pytest.raises(InstrumentError, match=r"bob\.tagger: error 2"):
            signal.get()
    with pytest.raises(InstrumentError, match=r"bob\.tagger: error 2"):
        tagger.trigger().wait(WAIT_S)
    bench.start_device("bob.tagger")
    tagger.trigger().wait(WAIT_S)
    assert tagger.data_lost.last == 0


# Late answers


@every_wire
def test_a_late_answer_is_never_taken_for_a_later_one(session, role):
    connection = session.devices[role].connection
    first, second, answer = QUESTIONS[role]
    for _ in range(20):
        with pytest.raises(TransportTimeout, match=rf"^{re.escape(role)}: .*within 0 s"):
            connection.query(asking(first), timeout_s=0.0)
        assert connection.query(asking(second)) == answer


@pytest.mark.parametrize("role", TCP)
def test_a_question_that_the_instrument_does_not_know_times_out_with_its_own_words(session, role):
    connection = session.devices[role].connection
    began_s = time.monotonic()
    with pytest.raises(TransportTimeout, match=rf"^{re.escape(role)}: .* answer within .* s"):
        connection.query(asking(b":NO:SUCH:WORD?"), timeout_s=0.05)
    assert 0.05 <= time.monotonic() - began_s < 0.05 + AT_ONCE_S
    with pytest.raises(InstrumentError, match=rf"^{re.escape(role)}: error -113, 'Undefined header'"):
        connection.check_errors()
    with pytest.raises(InstrumentError, match=rf"{re.escape(role)}: error -113.*:NO:SUCH:WORD\?"):
        connection.checked_query(asking(b":NO:SUCH:WORD?"), timeout_s=0.05)
    connection.check_errors()


# Many speakers


@every_wire
def test_two_threads_on_one_connection_never_get_each_others_answers(session, role):
    connection = session.devices[role].connection
    first, second, answer = QUESTIONS[role]
    right = {first: connection.query(asking(first)), second: answer}
    wrong: list[tuple[bytes, bytes]] = []
    counts = dict.fromkeys(right, 0)
    together = threading.Barrier(len(right))

    def hammer(message: bytes) -> None:
        together.wait()
        for _ in range(1000):
            reply = connection.query(asking(message))
            counts[message] += 1
            if reply != right[message]:
                wrong.append((message, reply))

    threads = [threading.Thread(target=hammer, args=(message,)) for message in right]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert (counts, wrong) == (dict.fromkeys(right, 1000), [])


# Clients of other houses

SET_AND_ASK = {
    "alice.awg": (":voltage1:level:immediate:amplitude 625 mv", ":VOLT1?", 0.625),
    "alice.voa": (":input1:channel1:attenuation 12.5 DB", "inp2:att?", 12.5),
    "classical.laser": ("sour1:pow 12", ":SOURCE1:CHANNEL1:POWER:LEVEL:IMMEDIATE:AMPLITUDE?", 12.0),
    "classical.launch_voa": ("inp3:att 3e0", ":INPut4:ATTenuation?", 3.0),
    "classical.power_meter": ("sens2:pow:wav 1310 nm", ":SENSe2:CHANnel1:POWer:WAVelength?", 1.31e-6),
    "switch": (
        ":oxc:swit:conn:only (@1, 2),(@33,34)",
        ":OXC:SWITch:SIZE?;:OXC:SWIT:CONN:PORT? 2",
        '32,32;"34"',
    ),
}


@pytest.fixture
def foreign(bench):
    """Opens an instrument as anybody would with pyvisa; its manager, which a process shares, stays open."""
    manager = pyvisa.ResourceManager("@py")

    def open_resource(role: str) -> Any:
        address = bench.devices[role].address
        return manager.open_resource(address, read_termination="\n", write_termination="\n", timeout=5000)

    return open_resource


@pytest.mark.parametrize("role", TCP)
def test_pyvisa_speaks_with_every_instrument_on_a_socket(bench, session, foreign, role):
    command, question, value = SET_AND_ASK[role]
    with foreign(role) as client:
        model = bench.devices[role].model.split()[0 if role == "switch" else -1]
        assert model in client.query("*idn?")
        client.write(command)
        assert client.query("*OPC?").strip().lstrip("+") == "1"
        reply = client.query(question).strip()
        assert reply == value if isinstance(value, str) else float(reply) == pytest.approx(value)
        client.write("nonsense 1,2")
        assert re.fullmatch(r'-113, ?"Undefined header"\s*', client.query("SYSTem:ERRor?"))
        assert re.fullmatch(r'\+?0, ?"No error"\s*', client.query("syst:err:next?"))
        client.write("*CLS")
    session.devices[role].trigger().wait(WAIT_S)


@pytest.mark.parametrize("role", ["alice.voa", "classical.power_meter"])
def test_pyvisa_reads_a_block_of_all_powers(foreign, role):
    with foreign(role) as client:
        powers_w = client.query_binary_values(":read:pow:all?", datatype="f", is_big_endian=False)
    assert len(powers_w) == 4
    assert all(0.0 <= power_w < 1e-3 for power_w in powers_w)


def test_pyvisa_writes_a_waveform_and_reads_it_back(session, foreign):
    codes = [(7 * index) % 256 - 128 for index in range(1280)]
    with foreign("alice.awg") as client:
        client.write(":ABOR;:TRAC1:DEL:ALL;:TRAC1:DEF 1,1280")
        client.write_binary_values(":TRAC1:DATA 1,0,", codes, datatype="b")
        assert client.query_ascii_values(":TRAC1:DATA? 1,0,1280", converter="d") == codes
        assert client.query(":SYST:ERR?") == '0,"No error"'
    session.devices["alice.awg"].prepare_instrument()


def test_pyvisa_shell_speaks_with_an_instrument(bench):
    address = bench.devices["classical.launch_voa"].address
    words = [
        "open " + address,
        "termchar LF",
        "query *IDN?",
        "write :INP1:ATT 3",
        "query :INP1:ATT?",
        "exit",
        "",
    ]
    shell = [sys.executable, "-c", "from pyvisa.cmd_line_tools import visa_shell; visa_shell()", "-b", "py"]
    ended = subprocess.run(
        shell, input="\n".join(words), capture_output=True, text=True, timeout=60, check=True
    )
    assert "Response: Keysight Technologies,N7764A" in ended.stdout
    assert "Response: +3.00000000E+000" in ended.stdout


@pytest.mark.parametrize(
    ("role", "said", "heard"),
    [
        ("classical.amplifier", b"*IDN?\r", rb"FiberLabs,[^\r\n]+\r"),
        ("classical.amplifier", b"setalc,1,12.5\n", rb"SETALC,1,12\.50?\n"),
        ("classical.amplifier", b"MONOUT\r\n", rb"-?\d+\.\d+(,N/A)+\r\n"),
        ("classical.amplifier", b"SETALC,1,99\r", rb"\?\?ARG\r"),
        ("bob.polarization_controller", b"V3,2500\r\n", rb"Set CH3 DC Voltage at: 2500mV\r\nDone\r\n"),
        ("bob.polarization_controller", b"VZ3\r\n", rb"Set CH3 DC Voltage at: 0mV\r\nDone\r\n"),
        ("bob.polarization_controller", b"V3,9999\r\n", rb"[^\r\n]*Error!\r\n"),
        ("bob.polarization_controller", b"M?\r\n", rb"Work Mode: DC\r\nDone\r\n"),
        ("bob.detectors", b"*idn?\r\n", rb"[^\r\n]*SPD[^\r\n]*\r\n"),
        ("bob.detectors", b"hvolt 63.5\r\nhvolt?\r\n", rb"63\.50?\r\n"),
        ("bob.detectors", b"temp?\n", rb"-?\d+\.\d+\r\n"),
    ],
)
def test_pyserial_speaks_with_every_instrument_on_a_serial_line(bench, session, role, said, heard):
    connection = session.devices[role].connection
    connection.close()  # a serial line has one client
    with serial.Serial(bench.devices[role].address, 9600, timeout=5) as port:
        port.write(said)
        reply = b""
        while re.fullmatch(heard, reply) is None:
            more = port.read(1)
            assert more, reply
            reply += more
    connection.open()
    session.devices[role].trigger().wait(WAIT_S)
