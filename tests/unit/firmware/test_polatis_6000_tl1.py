import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.polatis_6000_tl1 import Polatis6000Tl1
from sim_devices.firmware.tl1 import Tl1Framer, numbers, parse
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin


@pytest.fixture
def matrix():
    size = {"ingress": 32, "egress": 32, "insertion_loss_db": 1.0}
    components = {"laser": ComponentSpec("cw_laser"), "matrix": ComponentSpec("optical_switch", size)}
    twin = Twin(Layout(1, components, (Link(PortAddress("laser", "out"), PortAddress("matrix", "3")),)))
    twin.handle("laser").apply(emission_on=True, power_dbm=2.0)
    return twin.handle("matrix")


@pytest.fixture
def line(matrix):
    session = Polatis6000Tl1({"matrix": matrix}, serial_number="002414").session()
    session.feed(b"ACT-USER::root:1::root;")
    return session


def ask(line, command: str) -> tuple[str, list[str]]:
    """Completion code and lines of the response."""
    reply = line.feed(command.encode() + b"\n").decode()
    found = re.fullmatch(
        r"\r\n\r\n   .* \d\d-\d\d-\d\d \d\d:\d\d:\d\d\r\nM  \S+ (COMPLD|DENY)\r\n((?:   .*\r\n)*);", reply
    )
    assert found is not None, reply
    return found[1], [row.removeprefix("   ") for row in found[2].split("\r\n")[:-1]]


def texts(line, command: str) -> list[str]:
    completion, rows = ask(line, command)
    assert completion == "COMPLD", rows
    return rows


def denial(line, command: str) -> str:
    completion, rows = ask(line, command)
    assert completion == "DENY"
    return rows[0]


SCRIPT = (
    b"rtrv-hdr:::0:;\r\nact-user::root:1::root;\r\nRTRV-NETYPE:::c2:;ENT-PATCH::1&2,33&34:3:;\n\n"
    b'RTRV-PATCH:::4:;DLT-PATCH::ALL:5:;\nRTRV-PATCH:::6:;ED-PORT-LABEL::2:7:::LABEL="a;b:c";'
    b"RTRV-PORT-LABEL::2:8:;\xff\xfd\x03SET-SID:::9::lab;CANC-USER::root:10:;"
)
HEAD = "\r\n\r\n   ( nil ) 24-01-01 00:00:00\r\nM  "
RESPONSES = (
    f'{HEAD}0 DENY\r\n   PLNA\r\n   "Privilege, Login Not Active"\r\n;{HEAD}1 COMPLD\r\n;'
    f'{HEAD}c2 COMPLD\r\n   "Polatis,N-VST-32x32-LU1-DMHNV,OCS,6.5.2.18"\r\n;{HEAD}3 COMPLD\r\n;'
    f'{HEAD}4 COMPLD\r\n   "1,33"\r\n   "2,34"\r\n;{HEAD}5 COMPLD\r\n;{HEAD}6 COMPLD\r\n;{HEAD}7 COMPLD\r\n;'
    f'{HEAD}8 COMPLD\r\n   "2:a;b:c"\r\n;{HEAD}9 COMPLD\r\n;{HEAD}10 COMPLD\r\n;'
)
RESPONSES = RESPONSES.replace(f"{HEAD}9 ", f"{HEAD}9 ".replace("( nil )", "lab")).replace(
    f"{HEAD}10 ", f"{HEAD}10 ".replace("( nil )", "lab")
)


@given(st.lists(st.integers(0, len(SCRIPT)), max_size=10))
def test_a_conversation_in_any_chunking(cuts):
    line = Polatis6000Tl1({}, serial_number="1").session()
    edges = [0, *sorted(cuts), len(SCRIPT)]
    replies = [line.feed(SCRIPT[begin:end]) for begin, end in itertools.pairwise(edges)]
    assert b"".join(replies).decode() == RESPONSES


def test_byte_by_byte():
    line = Polatis6000Tl1({}, serial_number="1").session()
    assert b"".join(line.feed(bytes((byte,))) for byte in SCRIPT).decode() == RESPONSES


def test_each_connection_logs_in_for_itself():
    instrument = Polatis6000Tl1({}, serial_number="1", user="lab", password="secret")
    one, other = instrument.session(), instrument.session()
    assert denial(one, "ACT-USER::root:1::root;") == "PICC"
    assert denial(one, "ACT-USER::lab:1::wrong;") == "PICC"
    assert texts(one, "ACT-USER::lab:1::secret;") == []
    assert texts(one, "RTRV-HDR:::1:;") == []
    assert denial(other, "RTRV-HDR:::1:;") == "PLNA"
    texts(one, "CANC-USER::lab:1:;")
    assert denial(one, "RTRV-HDR:::1:;") == "PLNA"


def test_the_response_comes_when_the_path_is_there(matrix, line):
    assert texts(line, "ENT-PATCH::3,40:1:;") == []
    assert matrix.lab_time.now_ps() == seconds_to_ps(0.015)
    assert matrix.setting("connections") == frozenset({(3, 40)})
    assert texts(line, "RTRV-PORT-POWER::3&40&&41:1:;") == ['"3:2.0"', '"40:1.0"', '"41:-60.0"']


def test_lists_ranges_and_either_order(line):
    texts(line, "ENT-PATCH::1&&3&5,33&34&36&&37:1:;")
    assert texts(line, "RTRV-PATCH:::1:;") == ['"1,33"', '"2,34"', '"3,36"', '"5,37"']
    texts(line, "ENT-PATCH::40,4:1:;")
    assert texts(line, "RTRV-PATCH::4&33:1:;") == ['"1,33"', '"4,40"']


def test_a_new_connection_takes_its_ports_and_old_ones_are_deleted_by_any_port(line):
    texts(line, "ENT-PATCH::1&2&3,33&34&35:1:;")
    texts(line, "ENT-PATCH::1,34:1:;")
    assert texts(line, "RTRV-PATCH:::1:;") == ['"1,34"', '"3,35"']
    texts(line, "DLT-PATCH::34&7:1:;")
    assert texts(line, "RTRV-PATCH:::1:;") == ['"3,35"']
    texts(line, "DLT-PATCH::ALL:1:;")
    assert texts(line, "RTRV-PATCH:::1:;") == []


def test_a_closed_shutter_keeps_the_connection_in_the_dark(matrix, line):
    texts(line, "ENT-PATCH::3,40:1:;")
    texts(line, "OPR-PORT-SHUTTER::40:1:;")
    assert texts(line, "RTRV-PORT-SHUTTER::39&&40:1:;") == ['"39:OPEN"', '"40:CLOSED"']
    assert matrix.setting("connections") == frozenset()
    assert texts(line, "RTRV-PATCH:::1:;") == ['"3,40"']
    texts(line, "RLS-PORT-SHUTTER::1&&64:1:;")
    assert matrix.setting("connections") == frozenset({(3, 40)})


@pytest.mark.parametrize(
    ("command", "rows"),
    [
        ("RTRV-EQPT::SYSTEM:c:::PARAMETER=SIZE;", ['"SYSTEM:SIZE=32x32"']),
        ("rtrv-eqpt::atten:c:::parameter=config;", ['"ATTEN:CONFIG=ABSOLUTE"']),
        ("RTRV-EQPT::BOOT:c:::PARAMETER=CONFIG;", ['"BOOT:MODE=DARK"']),
        ("RTRV-INV::OCS:c:;", ['"OCS:PN=N-VST-32x32-LU1-DMHNV,HW=1,FW=6.5.2.18,SN=002414"']),
        ("RTRV-IP::eth0:c:;", ['"192.168.1.1,0.0.0.0,255.255.255.0,192.168.1.255"']),
        (
            "RTRV-IPPORT::eth0:c:;",
            ['"eth0:IP=192.168.1.1,GATEWAY=0.0.0.0,MASK=255.255.255.0,BROADCAST=192.168.1.255"'],
        ),
        ("RTRV-MAC::eth0:c:;", ['"00:50:c2:75:4d:01"']),
        ("RTRV-TOD:::c:;", ['"2024,01,01,00,00,00,0"']),
        ("RTRV-USER-SECU::root:c:;", ['"root:,ADMIN"']),
        ("RTRV-PORT-PMON::1:c:;", ['"1:1550.0,0.0,4"']),
        ("RTRV-PORT-ATTEN::33:c:;", ['"33:NONE,,"']),
        ("RTRV-PORT-FLAP::1:c:;", ['"1:0,0,0"']),
        ("INH-MSG-ALL:::c:;", []),
    ],
)
def test_what_it_tells(line, command, rows):
    assert texts(line, command) == rows


def test_monitors_are_listed_for_every_port(line):
    rows = texts(line, "RTRV-EQPT::PMON:c:::PARAMETER=CONFIG;")
    assert (rows[0], len(rows)) == ('"PMON::PORT=1,MODE=OUTPUT"', 64)


def test_port_settings(line):
    texts(line, "ED-PORT-LABEL::1&2:c:::LABEL=src1&src2;")
    texts(line, 'ED-PORT-LABEL::3:c:::LABEL="FC 49/2, in";')
    assert texts(line, "RTRV-PORT-LABEL::1&&3:c:;") == ['"1:src1"', '"2:src2"', '"3:FC 49/2, in"']
    texts(line, "DLT-PORT-LABEL::2:c:;")
    assert texts(line, "RTRV-PORT-LABEL::2:c:;") == ['"2:"']
    texts(line, "set-port-pmon::1&&64:1:::wave=1310,offset=-0.5,atime=6;")
    assert texts(line, "RTRV-PORT-PMON::64:c:;") == ['"64:1310.0,-0.5,6"']
    texts(line, "SET-PORT-ATTEN::33:c:::MODE=ABSOLUTE,LEVEL=3.25;")
    texts(line, "set-port-atten::34&35:c:::mode=REL,level=(2.0),refs=1&2;")
    assert texts(line, "RTRV-PORT-ATTEN::33&&35:c:;") == [
        '"33:ABSOLUTE,3.2,"',
        '"34:RELATIVE,2.0,1"',
        '"35:RELATIVE,2.0,2"',
    ]
    texts(line, "SET-PORT-ATTEN::33:c:::MODE=NONE;")
    assert texts(line, "RTRV-PORT-ATTEN::33:c:;") == ['"33:NONE,,"']
    texts(line, "ENT-PORT-FLAP::10:123::1000, 500, 1;")
    texts(line, "OPR-PORT-FLAP::10:123;")
    assert texts(line, "RTRV-PORT-FLAP::10:c:;") == ['"10:1000,500,1"']


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("RTRV-NONSENSE:::1:;", "IICM"),
        ("RTRV-HDR:elsewhere::1:;", "IITA"),
        ("ENT-PATCH::1,2:1:;", "IIAC"),
        ("ENT-PATCH::1,65:1:;", "IIAC"),
        ("ENT-PATCH::0,33:1:;", "IIAC"),
        ("ENT-PATCH::1&2,33:1:;", "IIAC"),
        ("ENT-PATCH::1&1,33&34:1:;", "IIAC"),
        ("ENT-PATCH::1:1:;", "IIAC"),
        ("ENT-PATCH:::1:;", "IIAC"),
        ("ENT-PATCH::,:1:;", "IIAC"),
        ("DLT-PATCH:::1:;", "IIAC"),
        ("DLT-PATCH::x:1:;", "IIAC"),
        ("RTRV-PORT-POWER::1&&640:1:;", "IIAC"),
        ("RTRV-EQPT::NOTHING:1:::PARAMETER=SIZE;", "IIAC"),
        ("RTRV-EQPT::SYSTEM:1:;", "IDNV"),
        ("ED-EQPT::BOOT:1:::MODE=LOUD;", "IDNV"),
        ("ED-EQPT::TIMEOUT:1:::ADMIN=x;", "IDNV"),
        ("RTRV-IP::eth7:1:;", "IIAC"),
        ("ED-DAT:::1::yesterday;", "IDNV"),
        ("SET-SID:::1:;", "IDNV"),
        ("INIT-SYS::SYSTEM:1::7;", "IDNV"),
        ("SET-PORT-ATTEN::1:1:::MODE=NONE;", "IIAC"),
        ("SET-PORT-ATTEN::33:1:::MODE=ABSOLUTE;", "IDNV"),
        ("SET-PORT-ATTEN::33:1:::MODE=ABSOLUTE,LEVEL=nan;", "IDNV"),
        ("SET-PORT-PMON::1:1:::WAVE=x;", "IDNV"),
        ("ED-PORT-LABEL::1:1:;", "IDNV"),
        ("ENT-PORT-FLAP::1:1::1,2;", "IDNV"),
        ("RTRV-USER-SECU::nobody:1:;", "IIAC"),
    ],
)
def test_what_is_denied_changes_nothing(matrix, line, command, code):
    texts(line, "ENT-PATCH::3,40:1:;")
    assert denial(line, command) == code
    assert matrix.setting("connections") == frozenset({(3, 40)})


def test_a_switch_without_monitors_has_no_powers():
    line = Polatis6000Tl1({}, serial_number="1", product_code="I-OST-24x16-LA1-DMHNS").session()
    line.feed(b"ACT-USER::root:1::root;")
    assert denial(line, "RTRV-PORT-POWER::1:1:;") == "ENEQ"
    assert texts(line, "RTRV-EQPT::SYSTEM:c:::PARAMETER=SIZE;") == ['"SYSTEM:SIZE=24x16"']


def test_the_source_identifier_is_also_a_target(line):
    texts(line, "SET-SID:::1::Polatis OXC;")
    reply = line.feed(b'RTRV-HDR:"Polatis OXC"::2:;').decode()
    assert reply == "\r\n\r\n   Polatis OXC 24-01-01 00:00:00\r\nM  2 COMPLD\r\n;"


def test_the_clock_runs_on_lab_time_and_is_set(matrix, line):
    texts(line, "ED-DAT:::123::26-05-04,03-02-01;")
    matrix.lab_time.advance_by(seconds_to_ps(60.0))
    assert texts(line, "RTRV-TOD:::1:;") == ['"2026,05,04,03,03,01,0"']
    assert b"26-05-04 03:03:01" in line.feed(b"RTRV-HDR:::1:;")


def test_restarts(line):
    texts(line, "ENT-PATCH::1,33:1:;")
    texts(line, "ED-EQPT::BOOT:1:::MODE=RESTORE;")
    for phase in (0, 1):
        texts(line, f"INIT-SYS::SYSTEM:1::{phase};")
        assert texts(line, "RTRV-PATCH:::1:;") == ['"1,33"']
    texts(line, "INIT-SYS::SYSTEM:1::10;")
    assert texts(line, "RTRV-PATCH:::1:;") == []
    assert texts(line, "RTRV-EQPT::BOOT:1:::PARAMETER=MODE;") == ['"BOOT:MODE=DARK"']


def test_the_pattern_that_public_clients_read_with_finds_every_response(line):
    reply = line.feed(b"RTRV-EQPT::SYSTEM:123:::PARAMETER=SIZE;\n").decode()
    found = re.search(r"M\s+123\s+([A-Z ]+)[^;]*;", reply)
    assert found is not None
    assert found[1].strip() == "COMPLD"


def test_a_string_left_open_ends_with_the_line():
    assert list(Tl1Framer().feed(b'A::"x:1;\nB:::2;')) == ['A::"x:1;\nB:::2']
    assert list(Tl1Framer().feed(b'A::"x:1\n;B:::2;')) == ['A::"x:1', "B:::2"]


def test_blocks_and_parameters():
    command = parse('ed-port-label:"my tid":1&2:c7:gb:one,"two, three":Label="a=b",x=1')
    assert (command.verb, command.target, command.access, command.ctag) == (
        "ED-PORT-LABEL",
        "my tid",
        "1&2",
        "c7",
    )
    assert (command.positional, command.named) == (["one", "two, three"], {"LABEL": "a=b", "X": "1"})
    assert parse("RTRV-HDR").ctag == "0"
    assert numbers("1&3&&5&9&&8") == [1, 3, 4, 5, 9, 8]
