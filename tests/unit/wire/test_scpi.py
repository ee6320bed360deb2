import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import (
    IDENTITY,
    NEXT_ERROR,
    OPERATION_COMPLETE,
    ErrorReport,
    block,
    block_data,
    boolean,
    error_report,
    integer,
    number,
    numbers,
    text,
)

FINITE = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda value: abs(value) not in (9.9e37, 9.91e37)
)


@given(FINITE)
def test_numbers_survive_every_usual_way_of_printing(value: float):
    assert number(repr(value).encode()) == value
    assert number(f"{value:+.17E}".encode()) == value
    assert number(f" {value:.17g}\r".encode()) == value


@pytest.mark.parametrize(
    ("reply", "value"),
    [(b"+1.40000000E+001", 14.0), (b"-5", -5.0), (b".5", 0.5), (b"3.", 3.0), (b"1e3", 1000.0)],
)
def test_numbers_as_instruments_print_them(reply: bytes, value: float):
    assert number(reply) == value


def test_scpis_special_numbers():
    assert math.isnan(number(b"9.91E37"))
    assert math.isnan(number(b"+9.91000000E+037"))
    assert number(b"9.9E37") == math.inf
    assert number(b"-9.9E+37") == -math.inf


@pytest.mark.parametrize("reply", [b"", b"nan", b"inf", b"1_0", b"1,2", b"0x10", b"1.0 V", b"\xff", b"1 2"])
def test_what_is_no_number_is_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError, match="not a number"):
        number(reply)


@given(st.integers(-(2**53), 2**53))
def test_integers_may_be_printed_as_floats(value: int):
    assert integer(str(value).encode()) == value
    assert integer(f"{value:+.17E}".encode()) == value


@pytest.mark.parametrize("reply", [b"1.5", b"9.91E37", b"9.9E37"])
def test_what_is_no_integer_is_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError, match="not an integer"):
        integer(reply)


@pytest.mark.parametrize(
    ("reply", "value"), [(b"1", True), (b"+0", False), (b" on\r", True), (b"OFF", False)]
)
def test_booleans(reply: bytes, value: bool):
    assert boolean(reply) is value


@pytest.mark.parametrize("reply", [b"2", b"", b"YES", b"-1"])
def test_what_is_no_boolean_is_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError):
        boolean(reply)


@given(st.lists(FINITE, min_size=1, max_size=8))
def test_lists_of_numbers(values: list[float]):
    assert numbers(b", ".join(repr(value).encode() for value in values)) == tuple(values)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_quoted_texts_come_back(words: str):
    quoted = '"' + words.replace('"', '""') + '"'
    assert text(quoted.encode()) == words


def test_unquoted_texts_lose_only_the_blanks_round_them():
    assert text(b" Keysight Technologies,N7764A,1,2\r") == "Keysight Technologies,N7764A,1,2"
    assert text(b'"') == '"'
    with pytest.raises(RemoteProtocolError, match="not ASCII"):
        text(b"\xb5W")


@given(
    st.integers(-32768, 32767),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    st.sampled_from(["", " ", "  "]),
)
def test_error_reports(code: int, words: str, blank: str):
    reply = f'{code:+d},{blank}"{words.replace(chr(34), chr(34) * 2)}"'
    assert error_report(reply.encode()) == ErrorReport(code, words)


@pytest.mark.parametrize(
    ("reply", "report"),
    [
        (b'+0,"No error"', ErrorReport(0, "No error")),
        (b'0, "No error"\r', ErrorReport(0, "No error")),
        (
            b'-222, "Data out of range (StatParmTooLarge)"',
            ErrorReport(-222, "Data out of range (StatParmTooLarge)"),
        ),
    ],
)
def test_error_reports_as_instruments_print_them(reply: bytes, report: ErrorReport):
    assert error_report(reply) == report


@pytest.mark.parametrize("reply", [b"", b"0", b"0,No error", b'"No error"', b"1.5"])
def test_what_is_no_error_report_is_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError, match="not an error report"):
        error_report(reply)


@given(st.binary(max_size=2000))
def test_blocks_come_back(data: bytes):
    assert block_data(block(data)) == data


def test_a_block_has_its_length_in_its_header():
    assert block(b"TRACES") == b"#16TRACES"
    assert block(b"") == b"#10"


class HugeBytes(bytes):
    """Bytes that say that they are too many."""

    def __len__(self) -> int:
        return 1_000_000_000


def test_a_block_has_at_most_nine_digits():
    with pytest.raises(LocalProtocolError, match="999999999"):
        block(HugeBytes())


@pytest.mark.parametrize("reply", [b"", b"6abc", b"#0abc", b"#16TRACE", b"#16TRACESS", b"#2x1a", b"#"])
def test_what_is_no_block_is_the_instruments_mistake(reply: bytes):
    with pytest.raises(RemoteProtocolError, match="block"):
        block_data(reply)


def test_messages_are_ascii():
    assert Command.text(":OUTP ON") == Command(b":OUTP ON")
    with pytest.raises(LocalProtocolError, match="not ASCII"):
        Command.text("µ")
    with pytest.raises(LocalProtocolError, match="not ASCII"):
        Query.text("µ?", number)


def test_what_every_scpi_instrument_is_asked():
    assert IDENTITY.parse(b"Maker,Model,1,2\r") == "Maker,Model,1,2"
    assert OPERATION_COMPLETE.parse(b"1") is True
    assert NEXT_ERROR.message == b":SYST:ERR?"
