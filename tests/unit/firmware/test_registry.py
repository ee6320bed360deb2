import re

import pytest

from sim_devices.firmware import FIRMWARES
from sim_devices.twin.lab_time import LabTime

SCPI = [
    "coherent_mtp1000",
    "keysight_e36312a",
    "keysight_infiniium",
    "keysight_m8195a",
    "keysight_m8196a",
    "keysight_n7714a",
    "keysight_n7744a",
    "keysight_n7764a",
    "polatis_6000",
    "thorlabs_itc4001",
    "thorlabs_pm100d",
]
NAMED_OTHERWISE = {"6000", "Infiniium"}
"""Models whose instruments call themselves by another name."""


def test_every_name_leads_to_a_firmware():
    assert set(SCPI) < set(FIRMWARES)
    assert all(firmware.MODEL for firmware in FIRMWARES.values())


def test_unknown_names_are_not_there():
    assert "keysight_n7764b" not in FIRMWARES
    with pytest.raises(KeyError):
        FIRMWARES["keysight_n7764b"]


@pytest.mark.parametrize("name", SCPI)
def test_an_instrument_connected_to_nothing_works(name):
    line = FIRMWARES[name]({}, serial_number="SN1").session()
    model = FIRMWARES[name].MODEL.split()[-1]
    identity, status, done = line.feed(b"*RST;*CLS;*IDN?;*ESR?;*OPC?\n").split(b";")
    assert identity.split(b",")[2] == b"SN1"
    assert model.encode() in identity or model in NAMED_OTHERWISE
    assert (status, done.strip()) == (b"0", b"1")
    assert b":SYSTem:ERRor" in line.feed(b":SYST:HELP:HEAD?\n")


@pytest.mark.parametrize("name", SCPI)
def test_messages_cost_no_lab_time(name):
    instrument = FIRMWARES[name]({}, serial_number="SN1")
    assert isinstance(instrument.lab_time, LabTime)
    line = instrument.session()
    for text in (
        b"*IDN?",
        b"*RST",
        b"SYST:ERR?",
        b":OUTP1 ON",
        b"*TST?",
        b":VOLT1 1",
        b":INP1:ATT 5",
        b":FREQ?",
    ):
        line.feed(text + b"\n")
    assert instrument.lab_time.now_ps() == 0


PARAMETERS = [
    b"",
    b" 1",
    b" -1e3",
    b" 0.5",
    b" ON",
    b" MIN",
    b" 'x'",
    b" (@1),(@33)",
    b" (@1)",
    b" 1,1",
    b" 1,0,#12ab",
    b" #12ab",
    b" DIV2",
    b" TOREF,1W",
    b" 1,'x'",
    b" 1550NM,TOREF",
    b" 1,1280,5",
    b" 1e290",
    b" 1,0,5",
]


@pytest.mark.parametrize("name", SCPI)
def test_no_header_with_any_parameter_breaks_the_instrument(name):
    line = FIRMWARES[name]({}, serial_number="SN1").session()
    listed = line.feed(b":SYST:HELP:HEAD?\n").rstrip(b"\r\n")
    headers = listed[2 + int(listed[1:2]) :].split(b"\n")
    for header in headers:
        for written in {re.sub(rb"\[[^\]]*\]", b"", header), re.sub(rb"[\[\]]", b"", header)}:
            plain = written.split(b"/")[0].split(b"|")[0]
            for parameter in PARAMETERS:
                line.feed(plain + parameter + b"\n" + plain + b"?" + parameter + b"\n")
    reply = line.feed(b"*CLS;:SYST:ERR?;*IDN?\n")
    assert b"SN1" in reply
    assert re.search(rb"No error|ERROR 0;", reply)
