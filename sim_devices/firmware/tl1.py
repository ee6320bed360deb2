"""TL1 messages (Telcordia GR-831): commands cut at semicolons, their blocks, and responses.

A command is VERB-MODIFIER:TID:AID:CTAG:general:parameters; with its blocks separated by colons. Parameters are given by
position or as NAME=VALUE, separated by commas; quotes guard all of these signs. Case does not matter outside quotes.

Assumed: the end of a line ends a string that is left open; telnet's option commands are skipped.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

_LONGEST_COMMAND_BYTES = 1 << 16
_LONGEST_LIST = 10_000
_TELNET_OPTION = re.compile(rb"\xff[\xfb-\xfe].|\xff[\xf0-\xfa]", re.DOTALL)
_SEPARATED = {sign: re.compile(rf'((?:"[^"]*"|[^"{sign}])*){sign}') for sign in ":,"}


class Tl1Denied(Exception):
    """A command that is denied with an error code and its meaning."""

    def __init__(self, code: str, meaning: str) -> None:
        super().__init__(meaning)
        self.code = code


def invalid_command() -> Tl1Denied:
    """A verb that does not exist."""
    return Tl1Denied("IICM", "Input, Invalid Command")


def invalid_access() -> Tl1Denied:
    """An access identifier (port, equipment, interface) that does not exist or does not fit."""
    return Tl1Denied("IIAC", "Input, Invalid Access Identifier")


def invalid_data() -> Tl1Denied:
    """A parameter that cannot be taken."""
    return Tl1Denied("IDNV", "Input, Data Not Valid")


@dataclass(frozen=True)
class Tl1Command:
    """One command; verb, identifiers and parameter names in capitals as the table of commands has them."""

    verb: str
    target: str
    access: str
    ctag: str
    positional: Sequence[str]
    named: Mapping[str, str]


class Tl1Framer:
    """Collects a client's bytes and cuts them into commands, whatever the chunking."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._quoted = False

    def feed(self, data: bytes) -> Iterator[str]:
        """Add bytes; yield every command that is complete now, without its semicolon."""
        for byte in data:
            sign = chr(byte)
            self._quoted = (self._quoted ^ (sign == '"')) and sign not in "\r\n"
            if sign == ";" and not self._quoted:
                command, self._buffer = bytes(self._buffer), bytearray()
                text = _TELNET_OPTION.sub(b"", command).decode("latin-1").strip()
                if text:
                    yield text
            elif len(self._buffer) < _LONGEST_COMMAND_BYTES:
                self._buffer.append(byte)


class Tl1Session:
    """One connection: its input buffer and its login. `answer` gives the response to each command."""

    def __init__(self, answer: "Callable[[str, Tl1Session], bytes]") -> None:
        self._answer = answer
        self._framer = Tl1Framer()
        self.logged_in = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes in any chunking, carry out every command that is complete, return the responses."""
        return b"".join(self._answer(command, self) for command in self._framer.feed(data))


def parse(text: str) -> Tl1Command:
    """A command's blocks; those that are left out are empty."""
    blocks = [*_separated(text, ":"), "", "", "", ""]
    parameters = [item for block in blocks[5:] if block for item in _separated(block, ",")]
    named = dict(item.split("=", 1) for item in parameters if "=" in item.partition('"')[0])
    return Tl1Command(
        verb=blocks[0].upper(),
        target=_plain(blocks[1]),
        access=_plain(blocks[2]),
        ctag=blocks[3] or "0",
        positional=[_plain(item) for item in parameters if "=" not in item.partition('"')[0]],
        named={name.strip().upper(): _plain(value) for name, value in named.items()},
    )


def numbers(text: str) -> list[int]:
    """A list such as 1&2&&5 with its ranges written out. Raises Tl1Denied for anything else."""
    listed: list[int] = []
    for entry in re.split(r"(?<!&)&(?!&)", text):
        match = re.fullmatch(r"\s*(\d{1,5})\s*(?:&&\s*(\d{1,5})\s*)?", entry)
        if match is None:
            raise invalid_access()
        first, last = int(match[1]), int(match[2] or match[1])
        if len(listed) + abs(last - first) > _LONGEST_LIST:
            raise invalid_access()
        listed.extend(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    return listed


def response(source: str, stamp: str, ctag: str, completion: str, lines: Sequence[str]) -> bytes:
    """A response message: header, completion code and text."""
    text = "".join(f"   {line}\r\n" for line in lines)
    message = f"\r\n\r\n   {source} {stamp}\r\nM  {ctag} {completion}\r\n{text};"
    return message.encode("latin-1", "replace")


def _separated(text: str, sign: str) -> list[str]:
    """The parts between separators that stand outside quotes."""
    return [part.strip() for part in _SEPARATED[sign].findall(text + sign)]


def _plain(text: str) -> str:
    return text.strip().removeprefix('"').removesuffix('"')
