import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.polatis_6000 import Polatis6000
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin


def new_switch():
    size = {"ingress": 32, "egress": 32, "insertion_loss_db": 1.0}
    components = {"laser": ComponentSpec("cw_laser"), "matrix": ComponentSpec("optical_switch", size)}
    twin = Twin(Layout(1, components, (Link(PortAddress("laser", "out"), PortAddress("matrix", "3")),)))
    twin.handle("laser").apply(emission_on=True, power_dbm=2.0)
    return twin.handle("matrix")


@pytest.fixture
def matrix():
    return new_switch()


@pytest.fixture
def line(matrix):
    return Polatis6000({"matrix": matrix}, serial_number="002414").session()


def ask(line, text: str) -> str:
    return line.feed(text.encode() + b"\n").decode("latin-1")


def error(line) -> str:
    return ask(line, ":syst:err?").rstrip("\r\n")


def pairs(*connections: tuple[int, int]) -> frozenset[tuple[int, int]]:
    return frozenset(connections)


SCRIPT = (
    b"*idn?\r\n:oxc:swit:size?\n:OXC:SWITCH:CONNECT:ADD (@1,2,3),(@33, 34,40);\n:oxc:swit:conn:stat?\n"
    b":oxc:swit:conn:port? 2;:system:error?\n:oxc:swit:conn:only (@5),(@64); stat?\r\noxc:swit:conn:port? 64\n"
    b":oxc:swit:conn:port? 2\n:bogus;:system:error?\n:oxc:swit:disc:all\n:oxc:swit:conn:stat?;:syst:err:all?\n"
)
ANSWERS = (
    b'Polatis,N-VST-32x32-LU1-DMHNV,002414,6.5.2.18\r\n32,32\r\n(@1,2,3),(@33,34,40)\r\n"34";0, "No error"\r\n'
    b'(@5),(@64)\r\n"5"\r\n""\r\n-113, "Undefined header"\r\n(@),(@);0, "No error"\r\n'
)


@pytest.mark.parametrize("length", [1, 3, 10, len(SCRIPT)])
def test_a_conversation_in_any_chunking(line, length):
    replies = b"".join(line.feed(SCRIPT[at : at + length]) for at in range(0, len(SCRIPT), length))
    assert replies == ANSWERS


def test_a_path_is_there_after_the_switching_time(matrix, line):
    ask(line, ":oxc:swit:conn:add (@1),(@33)")
    assert matrix.setting("connections") == pairs()
    matrix.lab_time.advance_by(seconds_to_ps(0.0149))
    assert matrix.setting("connections") == pairs()
    matrix.lab_time.advance_by(seconds_to_ps(0.0001))
    assert matrix.setting("connections") == pairs((1, 33))


def test_old_paths_open_at_once_and_others_stay(matrix, line):
    ask(line, ":oxc:swit:conn:only (@1,2),(@33,34);*opc?")
    ask(line, ":oxc:swit:conn:add (@2),(@35)")
    assert matrix.setting("connections") == pairs((1, 33))
    assert ask(line, ":oxc:swit:conn:stat?;:oxc:swit:conn:port? 34") == '(@1,2),(@33,35);""\r\n'
    assert ask(line, "*opc?") == "1\r\n"
    assert matrix.setting("connections") == pairs((1, 33), (2, 35))
    assert matrix.lab_time.now_ps() == seconds_to_ps(0.03)


def test_changes_in_quick_succession_end_together(matrix, line):
    ask(line, ":oxc:swit:conn:add (@1),(@33)")
    matrix.lab_time.advance_by(seconds_to_ps(0.01))
    ask(line, ":oxc:swit:conn:add (@2),(@34)")
    matrix.lab_time.advance_by(seconds_to_ps(0.0149))
    assert matrix.setting("connections") == pairs()
    assert ask(line, "*opc?") == "1\r\n"
    assert matrix.lab_time.now_ps() == seconds_to_ps(0.025)
    assert matrix.setting("connections") == pairs((1, 33), (2, 34))
    ask(line, ":oxc:swit:conn:add (@3),(@35);sub (@3),(@)")
    matrix.lab_time.advance_by(seconds_to_ps(1.0))
    assert matrix.setting("connections") == pairs((1, 33), (2, 34))


def test_a_new_connection_takes_its_ports(line):
    ask(line, ":oxc:swit:conn:only (@1,2,3),(@33,34,35);add (@1,4),(@34,36);*opc?")
    assert ask(line, ":oxc:swit:conn:stat?") == "(@1,3,4),(@34,35,36)\r\n"


def test_connections_are_removed_by_pair_by_ingress_and_by_egress(line):
    ask(line, ":oxc:swit:conn:only (@1,2,3,4),(@33,34,35,36)")
    ask(line, ":oxc:swit:conn:sub (@1,2),(@33,40)")
    assert ask(line, ":oxc:swit:conn:stat?") == "(@2,3,4),(@34,35,36)\r\n"
    ask(line, ":oxc:swit:conn:sub (@2),(@)")
    ask(line, ":oxc:swit:conn:sub (@),(@36)")
    assert ask(line, ":oxc:swit:conn:stat?") == "(@3),(@35)\r\n"
    ask(line, ":oxc:swit:conn:only (@),(@)")
    assert ask(line, ":oxc:swit:conn:stat?;:syst:err?") == '(@),(@);0, "No error"\r\n'


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (":oxc:swit:conn:add (@1),(@2)", '-222, "Data out of range"'),
        (":oxc:swit:conn:add (@33),(@1)", '-222, "Data out of range"'),
        (":oxc:swit:conn:add (@1),(@65)", '-222, "Data out of range"'),
        (":oxc:swit:conn:add (@0),(@33)", '-222, "Data out of range"'),
        (":oxc:swit:conn:add (@1,2),(@33)", '-222, "Data out of range"'),
        (":oxc:swit:conn:add (@1,1),(@33,34)", '-222, "Data out of range"'),
        (":oxc:swit:conn:add (@1)", '-109, "Missing parameter"'),
        (":oxc:swit:conn:add 1,33", '-104, "Data type error"'),
        (":oxc:swit:conn:add (@1),(@33", '-171, "Invalid expression"'),
        (":oxc:swit:conn:port? 65", '-222, "Data out of range"'),
        (":oxc:boot:mode LOUD", '-224, "Illegal parameter value"'),
        (":oxo:swit:conn:stat?", '-113, "Undefined header"'),
    ],
)
def test_what_is_refused_changes_nothing(matrix, line, command, reply):
    ask(line, ":oxc:swit:conn:only (@3),(@35);*opc?")
    assert ask(line, command) == ""
    assert error(line) == reply
    assert error(line) == '0, "No error"'
    assert matrix.setting("connections") == pairs((3, 35))


def test_disabled_ports(matrix, line):
    ask(line, ":oxc:swit:conn:only (@1,2),(@33,34);*opc?;:oxc:swit:port:dis (@2,50)")
    assert ask(line, ":oxc:swit:port:stat? (@1,2,50)") == "(E,D,D)\r\n"
    assert matrix.setting("connections") == pairs((1, 33))
    ask(line, ":oxc:swit:conn:add (@3),(@50)")
    assert error(line) == '-221, "Settings conflict"'
    ask(line, ":oxc:swit:port:enab (@50);:oxc:swit:conn:add (@3),(@50);*opc?")
    assert matrix.setting("connections") == pairs((1, 33), (3, 50))
    assert ask(line, ":oxc:swit:port:stat?").count("E") == 63


def test_powers(line):
    ask(line, ":oxc:swit:conn:only (@3),(@40);*opc?")
    assert ask(line, ":pmon:pow? (@3,40,41)") == "(2.00,1.00,-60.00)\r\n"


def test_models_without_monitors_do_not_know_the_command():
    line = Polatis6000({}, serial_number="1", product_code="I-OST-24x16-LA1-DMHNS").session()
    assert ask(line, ":oxc:swit:size?;:pmon:pow? (@1);:syst:err?") == '24,16;-113, "Undefined header"\r\n'


def test_network_boot_mode_and_terminator(matrix):
    line = Polatis6000(
        {"matrix": matrix}, serial_number="1", ip_address="10.0.3.6", reply_terminator="\n"
    ).session()
    assert ask(line, ":syst:comm:netw:addr?") == (
        'IP="10.0.3.6" Gateway="0.0.0.0" Mask="255.255.255.0" Broadcast="10.0.3.255"\n'
    )
    assert ask(line, ":oxc:boot:mode restore;mode?;mode DARK;mode?") == "REST;DARK\n"


def test_a_product_code_without_a_size_is_a_mistake():
    with pytest.raises(ValueError, match="does not tell the size"):
        Polatis6000({}, serial_number="1", product_code="N-VST")


def test_all_errors_at_once_and_a_full_queue(line):
    ask(line, ":a;:b;:oxc:swit:conn:add (@1),(@2)")
    assert ask(line, ":syst:err:all?;all?") == (
        '-113, "Undefined header",-113, "Undefined header",-222, "Data out of range";0, "No error"\r\n'
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "only", "sub"]), st.integers(1, 5), st.integers(33, 37)),
        max_size=12,
    )
)
def test_no_port_is_ever_used_twice(commands):
    matrix = new_switch()
    line = Polatis6000({"matrix": matrix}, serial_number="1").session()
    model: dict[int, int] = {}
    for verb, ingress, egress in commands:
        ask(line, f":oxc:swit:conn:{verb} (@{ingress}),(@{egress})")
        if verb == "sub":
            model = {i: e for i, e in model.items() if (i, e) != (ingress, egress)}
        else:
            kept = model if verb == "add" else {}
            model = {i: e for i, e in kept.items() if i != ingress and e != egress} | {ingress: egress}
        there = matrix.setting("connections")
        assert isinstance(there, frozenset)
        ports = [port for pair in there for port in pair]
        assert len(ports) == len(set(ports))
    assert ask(line, "*opc?") == "1\r\n"
    assert matrix.setting("connections") == frozenset(model.items())
