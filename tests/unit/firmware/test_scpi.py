import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import ErrorEntry, ScpiError
from sim_devices.firmware.scpi_message import MessageFramer, parse_unit, split_units
from sim_devices.firmware.scpi_status import ErrorQueue, EventRegister
from sim_devices.firmware.scpi_tree import CommandTree, Request
from sim_devices.firmware.scpi_values import (
    FREQUENCY_HZ,
    LENGTH_M,
    LEVEL_DB,
    Limits,
    PowerUnit,
    arguments,
    bare,
    block,
    boolean,
    channel_list,
    choice,
    definite_block,
    exact_nr3,
    integer,
    limited,
    number,
    power,
    string,
)
from sim_devices.twin.lab_time import LabTime


def framed(*chunks: bytes) -> list[bytes]:
    framer = MessageFramer()
    return [message for chunk in chunks for message in framer.feed(chunk)]


def cut(data: bytes, lengths: list[int]) -> list[bytes]:
    chunks, at = [], 0
    for length in lengths:
        chunks.append(data[at : at + length])
        at += length
    return [*chunks, data[at:]]


units = st.one_of(
    st.sampled_from(
        [b"*IDN?", b":A:B 1,2", b"NAME 'x;#13\"y'", b'NAME "it""s"', b" ", b"X #HFF", b"L (@1,2:4)"]
    ),
    st.binary(max_size=40).map(lambda data: b":D 1," + definite_block(data)),
    st.binary(max_size=12).map(lambda data: b":D " + definite_block(data) + b",5"),
)
programs = st.lists(st.lists(units, min_size=1, max_size=4).map(b";".join), max_size=5)


@given(programs, st.lists(st.integers(0, 30), max_size=40), st.booleans())
def test_messages_are_found_in_any_chunking(messages, lengths, with_return):
    data = b"".join(message + (b"\r\n" if with_return else b"\n") for message in messages)
    expected = [message + (b"\r" if with_return else b"") for message in messages]
    assert framed(*cut(data, lengths)) == expected


@given(programs)
def test_bytes_may_come_one_by_one(messages):
    data = b"".join(message + b"\n" for message in messages)
    assert framed(*(data[at : at + 1] for at in range(len(data)))) == messages


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_blocks_hide_every_byte(first, second):
    message = (
        b":D 1," + definite_block(first) + b";:E " + definite_block(second) + b"," + definite_block(first)
    )
    (found,) = framed(message + b"\n")
    unit, other = split_units(found)
    assert [block(token) for token in parse_unit(unit)[1][1:]] == [first]
    assert [block(token) for token in parse_unit(other)[1]] == [second, first]


def test_a_stray_quote_does_not_swallow_the_next_message():
    assert framed(b'NAME "open\n*IDN?\n') == [b'NAME "open', b"*IDN?"]


def test_a_large_block_is_not_walked_byte_by_byte():
    data = random.Random(1).randbytes(1 << 24)
    message = b":TRAC1:DATA 1,0," + definite_block(data) + b"\n"
    framer, found = MessageFramer(), []
    started = time.process_time()
    for at in range(0, len(message), 1 << 16):
        found.extend(framer.feed(message[at : at + (1 << 16)]))
    (unit,) = split_units(found[0])
    same = block(parse_unit(unit)[1][2]) == data
    assert same
    assert time.process_time() - started < 0.8  # a Python step for each of 16 Mi bytes takes longer


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        (b"*IDN\xe4?", -101),
        (b"\x01\x02&", -101),
        (b"A 1,,2", -109),
        (b"A 'open", -151),
        (b"A #3ab", -161),
        (b"A #15ab", -161),
        (b"A (@1,2", -171),
    ],
)
def test_broken_units_are_named(unit, code):
    with pytest.raises(ScpiError) as refused:
        list(map(block, parse_unit(unit)[1]))
    assert refused.value.entry.code == code


def found(tree: CommandTree, header: str, path: tuple[str, ...] = ()):
    match = tree.find(header, path)
    return match.handler(Request(header, match.suffixes, ())), dict(match.suffixes), match.path


TREE = CommandTree(
    {
        ":INPut[n][:CHANnel[m]]:ATTenuation": lambda _: "attenuate",
        ":INPut[n][:CHANnel[m]]:ATTenuation?": lambda _: "attenuation",
        ":STATus:OPERation?": lambda _: "summary",
        ":STATus<n>:OPERation[:EVENt]?": lambda _: "slot",
        "[:SOURce[n]]:WAVelength[:CW|:FIXed]?": lambda _: "wavelength",
        ":OUTPut:RCD1": lambda _: "first",
        "*IDN?": lambda _: "who",
    }
)


@pytest.mark.parametrize(
    ("header", "reply", "suffixes"),
    [
        (
            ":INP:ATT",
            "attenuate",
            {
                "n": 1,
            },
        ),
        ("INPUT3:ATT?", "attenuation", {"n": 3}),
        (":INPUT12:CHAN2:ATTENUATION?", "attenuation", {"n": 12, "m": 2}),
        ("STAT:OPER?", "summary", {}),
        ("STAT4:OPER?", "slot", {"n": 4}),
        ("STATUS4:OPERATION:EVEN?", "slot", {"n": 4}),
        (":WAV?", "wavelength", {}),
        (":WAV:CW?", "wavelength", {}),
        ("SOUR2:WAVELENGTH:FIX?", "wavelength", {"n": 2}),
        ("OUTP:RCD1", "first", {}),
        ("*IDN?", "who", {}),
    ],
)
def test_headers_are_found_in_short_and_long_form(header, reply, suffixes):
    assert found(TREE, header)[:2] == (reply, suffixes)


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (":INPU:ATT", -113),
        (":INP:ATTE?", -113),
        (":INP", -113),
        ("INP:ATT:X?", -113),
        ("STATUS:OPERATION", -113),
        ("*IDN", -113),
        ("OUTP2:RCD1", -114),
        ("WAV2:CW?", -114),
        (":", -113),
    ],
)
def test_nothing_between_short_and_long_form_is_accepted(header, code):
    with pytest.raises(ScpiError) as refused:
        TREE.find(header, ())
    assert refused.value.entry.code == code


def test_the_path_is_all_but_the_last_node_as_it_was_sent():
    path = found(TREE, ":INP3:CHAN1:ATT")[2]
    assert path == ("INP3", "CHAN1")
    assert found(TREE, "ATT?", path)[1] == {"n": 3, "m": 1}
    assert found(TREE, ":INP:ATT?", path)[1] == {"n": 1}
    assert found(TREE, "*IDN?", path)[2] == path


def test_two_keywords_with_one_short_form_are_a_mistake_in_the_table():
    with pytest.raises(ValueError, match="two keywords"):
        CommandTree({":POWer:UNit": lambda _: None, ":POWer:UNiverse": lambda _: None})


@pytest.mark.parametrize("pattern", [":A[:B", ":A B", "A", ":A[:B]C"])
def test_unreadable_patterns_are_refused(pattern):
    with pytest.raises(ValueError, match="cannot be read"):
        CommandTree({pattern: lambda _: None})


@pytest.mark.parametrize(
    ("text", "unit_set", "value"),
    [
        (b"14", LEVEL_DB, 14.0),
        (b" +1.5e1 dB", LEVEL_DB, 15.0),
        (b"1500\tmdb", LEVEL_DB, 1.5),
        (b"1550.12NM", LENGTH_M, 1550.12e-9),
        (b"1.55UM", LENGTH_M, 1.55e-6),
        (b"1640nm", LENGTH_M, 1640e-9),
        (b"193.1 THz", FREQUENCY_HZ, 193.1e12),
        (b"-.5E-3", FREQUENCY_HZ, -0.0005),
        (b"#HfF", LEVEL_DB, 255.0),
        (b"#Q17", LEVEL_DB, 15.0),
        (b"#b101", LEVEL_DB, 5.0),
    ],
)
def test_numbers_take_the_suffixes_of_their_quantity(text, unit_set, value):
    assert number(text, unit_set) == value


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"14 V", -131),
        (b"14 dBm", -131),
        (b"1.2.3", -121),
        (b"--3", -121),
        (b"ABC", -141),
        (b"'14'", -158),
        (b"(@1)", -178),
        (b"#15abcde", -168),
        (b"1E999", -123),
        (b"  ", -109),
        (b"#HXY", -121),
    ],
)
def test_numbers_that_are_none_are_named(text, code):
    with pytest.raises(ScpiError) as refused:
        number(text, LEVEL_DB)
    assert refused.value.entry.code == code
    with pytest.raises(ScpiError):
        number(b"1 dB")


@given(st.floats(-1e12, 1e12))
def test_printed_numbers_read_back_exactly(value):
    assert float(exact_nr3(value)) == value
    assert number(exact_nr3(value).encode()) == value


def test_limits_have_names_and_ends():
    limits = Limits(-1.0, 3.0, 0.5, ErrorEntry(-222, "large"), ErrorEntry(-222, "small"))
    assert [limited(text, limits) for text in (b"MIN", b"maximum", b"Def", b"3", b"-1.0")] == [
        -1,
        3,
        0.5,
        3,
        -1,
    ]
    for text, problem in ((b"3.001", "large"), (b"-2", "small")):
        with pytest.raises(ScpiError, match=problem):
            limited(text, limits)
    with pytest.raises(ScpiError):
        limited(b"MINI", limits)


def test_other_data_types():
    assert [boolean(text) for text in (b"ON", b"off", b"1", b"0", b"0.4", b"2")] == [1, 0, 1, 0, 0, 1]
    assert choice(b" Extended ", "INTernal", "EXTended") == "EXT"
    assert integer(b"2.6") == 3
    assert string(b' "a""b,c" ') == 'a"b,c'
    assert string(b"'it''s'") == "it's"
    assert power(b"1 mW", PowerUnit.DBM) == (1e-3, PowerUnit.WATT)
    assert power(b"-3 dBm", PowerUnit.WATT) == (-3.0, PowerUnit.DBM)
    assert power(b"2", PowerUnit.WATT) == (2.0, PowerUnit.WATT)
    assert channel_list(b"(@1,5 : 7, 3)") == [1, 5, 6, 7, 3]
    assert channel_list(b"(@)") == []
    for text in (b"(1,2)", b"(@1,)", b"(@a)", b"(@1:2:3)"):
        with pytest.raises(ScpiError):
            channel_list(text)
    for text in (b"EXTE", b"INTER", b"5"):
        with pytest.raises(ScpiError):
            choice(text, "INTernal", "EXTended")


def test_the_error_queue_overflows_into_its_last_place():
    queue = ErrorQueue(3)
    for code in range(-1, -6, -1):
        queue.push(ErrorEntry(code, ""))
    assert [queue.pop().code for _ in range(4)] == [-1, -2, -350, 0]


def test_events_latch_what_the_filters_let_through():
    register = EventRegister(enable=4)
    register.update(6)
    register.update(0)
    assert register.summary
    assert (register.read_event(), register.read_event(), register.summary) == (6, 0, False)
    register.negative = 2
    register.update(6)
    register.event = 0
    register.update(0)
    assert register.read_event() == 2


class Oven(ScpiInstrument):
    """The smallest instrument: one setting, one movement."""

    def __init__(self) -> None:
        super().__init__(LabTime(), "Maker,Oven,1,1.0")
        self.heat = 1.0
        self.end_ps = 0

    def commands(self):
        return super().commands() | {
            ":OVEN[n]:HEAT[:LEVel]": self.set_heat,
            ":OVEN[n]:HEAT[:LEVel]?": bare(lambda: exact_nr3(self.heat)),
            ":OVEN[n]:DATA?": bare(lambda: definite_block(b";\n\x00")),
        }

    def set_heat(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self.heat = limited(token, Limits(0, 100, 20))
        self.end_ps = self.lab_time.now_ps() + 12_000_000_000

    def busy_until_ps(self) -> int:
        return self.end_ps

    def reset(self) -> None:
        self.heat = 20.0


@pytest.fixture
def oven():
    return Oven()


def ask(session, text: bytes) -> bytes:
    return session.feed(text + b"\n")


def test_answers_of_one_message_come_together(oven):
    session = oven.session()
    assert (
        ask(session, b"*IDN?;:oven:heat 5;heat?;:OVEN2:HEAT:LEVEL?;*OPC?")
        == b"Maker,Oven,1,1.0;5.00000000000000E+00;5.00000000000000E+00;1\n"
    )
    assert ask(session, b":OVEN:DATA?;HEAT?") == b"#13;\n\x00;5.00000000000000E+00\n"
    assert ask(session, b" ; ;") == b""
    assert session.feed(b"\r\n\n\r\n") == b""


def test_a_failing_unit_answers_nothing_and_stops_nobody(oven):
    session = oven.session()
    assert ask(session, b":OVEN:HEAT 500;COLD?;HEAT?;:SYST:ERR?;ERR?;ERROR:NEXT?") == (
        b'1.00000000000000E+00;-222,"Data out of range";-113,"Undefined header";0,"No error"\n'
    )
    assert ask(session, b"*IDN? 5;HEAT 1;:OVEN:HEAT;:OVEN:HEAT 1,2") == b""
    assert [ask(session, b"SYST:ERR?").split(b",")[0] for _ in range(5)] == [
        b"-108",
        b"-113",
        b"-109",
        b"-108",
        b"0",
    ]


def test_errors_set_the_bits_of_their_class(oven):
    session = oven.session()
    assert ask(session, b"*ESR?") == b"128\n"
    assert ask(session, b"*STB?") == b"0\n"
    ask(session, b":FOO;:OVEN:HEAT 500")
    assert ask(session, b"*STB?;*ESE 48;*STB?;*SRE 32;*STB?") == b"4;52;116\n"
    assert ask(session, b"*ESE?;*SRE?") == b"48;32\n"
    assert ask(session, b"*ESR?") == b"48\n"
    assert ask(session, b"*ESR?;*CLS;*STB?") == b"0;16\n"
    assert ask(session, b"SYST:ERR?") == b'0,"No error"\n'


def test_thirty_errors_fit(oven):
    session = oven.session()
    ask(session, b"X;" * 30)
    replies = ask(session, b":SYST:ERR?;" * 31).rstrip(b"\n").split(b";")
    assert replies == [b'-113,"Undefined header"'] * 30 + [b'0,"No error"']
    ask(session, b"X;" * 40)
    replies = ask(session, b":SYST:ERR?;" * 31).rstrip(b"\n").split(b";")
    assert replies[28:] == [b'-113,"Undefined header"', b'-350,"Queue overflow"', b'0,"No error"']


def test_operation_complete_waits_in_lab_time(oven):
    session = oven.session()
    ask(session, b":OVEN:HEAT 5;*OPC;*CLS")
    assert ask(session, b"*OPC;*ESR?") == b"0\n"  # 5 of 12 ms have passed now
    assert oven.lab_time.now_ps() == 5_000_000_000
    assert [ask(session, b"*ESR?") for _ in range(3)] == [b"0\n", b"1\n", b"0\n"]
    assert oven.lab_time.now_ps() == 12_000_000_000
    ask(session, b":OVEN:HEAT 5")
    assert ask(session, b"*OPC?") == b"1\n"
    assert oven.lab_time.now_ps() == 24_000_000_000


def test_sessions_share_the_instrument_and_not_the_input(oven):
    one, other = oven.session(), oven.session()
    assert one.feed(b":OVEN:HE") == b""
    assert other.feed(b"*IDN?\n") == b"Maker,Oven,1,1.0\n"
    assert one.feed(b"AT 7\n") == b""
    assert other.feed(b"OVEN:HEAT?\n") == b"7.00000000000000E+00\n"
    ask(other, b"*RST")
    assert one.feed(b"OVEN:HEAT?\n") == b"2.00000000000000E+01\n"


def test_the_headers_are_listed(oven):
    listed = block(ask(oven.session(), b":SYST:HELP:HEAD?").rstrip(b"\n")).decode().split("\n")
    assert {"*IDN/qonly/", "*RST/nquery/", ":OVEN:HEAT[:LEVel]", ":SYSTem:HELP:HEADers/qonly/"} <= set(listed)


@given(st.binary(max_size=200), st.lists(st.integers(0, 20), max_size=10))
def test_garbage_never_stops_the_instrument(garbage, lengths):
    session = Oven().session()
    for chunk in cut(garbage.replace(b"#", b"?"), lengths):
        session.feed(chunk)
    assert session.feed(b"\n*CLS\n*IDN?\n").endswith(b"Maker,Oven,1,1.0\n")
