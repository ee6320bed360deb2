from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.errors import RecordError
from qdci_lab.wire.wire_log import (
    LITERAL_BYTES,
    Entry,
    Header,
    Mark,
    WireLog,
    format_entry,
    format_wire_log,
    parse_wire_log,
)

HEADER = Header("TCPIP::192.0.2.12::5025::SOCKET", datetime(2026, 3, 1, 9, 30, tzinfo=UTC), "Keysight N7764A")
EXAMPLE = r"""# wire log 1
# address: TCPIP::192.0.2.12::5025::SOCKET
# model: Keysight N7764A
# date: 2026-03-01T09:30:00+00:00
    0.000000 +
    0.000312 > *IDN?\n
    0.001704 < Keysight Technologies,N7764A,MY00000001,1.0\r\n
   12.000000 > A\\B\t\x00\xff \x20
   14.000000 ?
   14.000001 ! Connection refused
 7214.000002 -
"""
ENTRIES = (
    Entry(0, Mark.OPENED),
    Entry(312, Mark.SENT, b"*IDN?\n"),
    Entry(1704, Mark.RECEIVED, b"Keysight Technologies,N7764A,MY00000001,1.0\r\n"),
    Entry(12_000_000, Mark.SENT, b"A\\B\t\x00\xff  "),
    Entry(14_000_000, Mark.SILENCE),
    Entry(14_000_001, Mark.FAILURE, b"Connection refused"),
    Entry(7_214_000_002, Mark.CLOSED),
)

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
DATA = st.one_of(
    st.binary(max_size=60),
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=20), st.integers(0, 300)),
    st.builds(bytes.__add__, st.just(b":DATA #42000"), st.binary(min_size=2000, max_size=2000)),
)
LOGS = st.builds(
    WireLog,
    st.builds(Header, WORDS, st.datetimes(timezones=st.just(UTC)), st.one_of(st.just(""), WORDS)),
    st.lists(st.builds(Entry, st.integers(0, 10**12), st.sampled_from(Mark), DATA), max_size=5).map(tuple),
)


@given(LOGS)
def test_what_is_written_is_read_again(log: WireLog):
    assert parse_wire_log(format_wire_log(log)) == log


@given(LOGS)
def test_every_line_is_plain_text(log: WireLog):
    lines = format_wire_log(log).split("\n")
    assert lines.pop() == ""
    assert len(lines) == 3 + bool(log.header.model) + len(log.entries)
    assert all(line.isascii() and line.isprintable() and line == line.rstrip() for line in lines)


def test_the_format_stays_as_it_is():
    assert format_wire_log(WireLog(HEADER, ENTRIES)) == EXAMPLE
    assert parse_wire_log(EXAMPLE) == WireLog(HEADER, ENTRIES)


def test_entries_know_their_lines_and_comments_are_passed_over():
    text = EXAMPLE.replace("    0.001704", "\n# this one matters\n    0.001704")
    entries = parse_wire_log(text).entries
    assert entries == ENTRIES
    assert [entry.line for entry in entries] == [5, 6, 9, 10, 11, 12, 13]


def test_a_file_whose_lines_end_as_on_windows_is_the_same():
    assert parse_wire_log(EXAMPLE.replace("\n", "\r\n")) == WireLog(HEADER, ENTRIES)


def test_long_data_are_short_and_their_beginning_is_readable():
    data = b":TRAC1:DATA 1,0,#520480" + b"\x01\x80" * 10240 + b"\n"
    line = format_entry(Entry(0, Mark.SENT, data))
    assert line.startswith(r"    0.000000 > :TRAC1:DATA 1,0,#520480\{20481 ")
    assert len(line) < 300
    assert "\\{" not in format_entry(Entry(0, Mark.SENT, data[:LITERAL_BYTES]))


def test_a_log_without_model_has_no_line_for_it():
    log = WireLog(replace(HEADER, model=""), ())
    assert "model" not in format_wire_log(log)
    assert parse_wire_log(format_wire_log(log)) == log


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: a wire log begins with"),
        ("# wire log 2\n", "line 1: a wire log begins with"),
        (EXAMPLE.replace("# address", "# adress"), "the header .* lacks .*address"),
        (EXAMPLE.replace("2026-03-01T", "yesterday"), "the header"),
        (EXAMPLE.replace("0.000312 >", "0.000312 )"), "line 6: neither"),
        (EXAMPLE.replace("0.000312", "soon"), "line 6: neither"),
        (EXAMPLE.replace("*IDN", "µ"), "line 6: neither"),
        (EXAMPLE.replace(r"?\n", r"?\q"), "line 6: a backslash"),
        (EXAMPLE.replace(r"?\n", r"?\xG0"), "line 6: a backslash"),
        (EXAMPLE.replace(r"?\n", "?\\"), "line 6: a backslash"),
        (EXAMPLE.replace(r"?\n", r"?\{3 !}"), "line 6: a backslash"),
        (EXAMPLE.replace(r"?\n", r"?\{3 QQ=}"), "line 6: .*padding"),
        (EXAMPLE.replace(r"?\n", r"?\{3 QUJD}"), "line 6: .*decompressing"),
        (EXAMPLE.replace(r"?\n", r"?\{4 eJxzdHIGAAGNAMc=}"), "line 6: 3 packed bytes, but 4"),
    ],
)
def test_what_is_no_wire_log_is_said_with_its_line(text: str, complaint: str):
    with pytest.raises(RecordError, match=complaint):
        parse_wire_log(text)
