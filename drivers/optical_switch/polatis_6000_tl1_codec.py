"""Messages of the Polatis 6000 (Huber+Suhner) optical matrix switch, TL1 over TCP port 3082.

Reference: the TL1 commands of the maker's user manual, as public drivers have them: ACT-USER, CANC-USER, RTRV-NETYPE,
RTRV-EQPT, ENT-PATCH, DLT-PATCH, RTRV-PATCH. Each message carries a tag, a number, by which its reply is known. Assumed:
a patch is completed when the light takes its path.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from drivers.optical_switch.matrix_connections import Route, Size
from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command, Query, to_ascii
from qdci_lab.wire.tl1 import accepted, parse_reply

T = TypeVar("T")

Lines = tuple[str, ...]

_WORD = re.compile(r"[!-~]+")
_PUNCTUATION = set(':;,"')
_SIZE = re.compile(r"SYSTEM:SIZE=(\d+)x(\d+)")
_PASSWORD = re.compile(rb"(ACT-USER:[^:;]*:[^:;]*:[^:;]*:[^:;]*:)[^:;]+", re.IGNORECASE)
_PATCH = re.compile(r"(\d+),(\d+)")


def log_in(tag: int, user: str, password: str) -> Query[None]:
    """ACT-USER: without it everything else is denied."""
    return _ask(f"ACT-USER::{_word(user)}", tag, lambda _lines: None, f":{_word(password)}")


def without_password(message: bytes) -> bytes:
    """What may be shown of a message: all but the password of ACT-USER."""
    return _PASSWORD.sub(rb"\1****", message)


def log_out(tag: int, user: str) -> Command:
    """CANC-USER; its reply is not waited for."""
    return Command.text(f"CANC-USER::{_word(user)}:{tag}:")


def identity(tag: int) -> Query[str]:
    """RTRV-NETYPE: maker, model, OCS and firmware."""
    return _ask("RTRV-NETYPE::", tag, _only_line)


def switch_size(tag: int) -> Query[Size]:
    """RTRV-EQPT of the system's SIZE: ingress and egress ports."""
    return _ask("RTRV-EQPT::SYSTEM", tag, _size, "::PARAMETER=SIZE")


def patches(tag: int) -> Query[tuple[Route, ...]]:
    """RTRV-PATCH: the pairs of ports that are connected."""
    return _ask("RTRV-PATCH::", tag, _routes)


def enter_patches(tag: int, pairs: Sequence[Route]) -> Query[None]:
    """ENT-PATCH: connect ports, in the order of two lists."""
    left, right = ("&".join(str(pair[side]) for pair in _some(pairs)) for side in (0, 1))
    return _ask(f"ENT-PATCH::{left},{right}", tag, lambda _lines: None)


def delete_patches(tag: int, pairs: Sequence[Route]) -> Query[None]:
    """DLT-PATCH: disconnect the ingress ports of these pairs."""
    ports = "&".join(str(ingress) for ingress, _ in _some(pairs))
    return _ask(f"DLT-PATCH::{ports}", tag, lambda _lines: None)


def _ask(head: str, tag: int, parse: Callable[[Lines], T], tail: str = "") -> Query[T]:
    """A message whose reply is the one with its tag; what the switch says by itself in between is not."""

    def answers(message: bytes) -> bool:
        reply = parse_reply(message)
        return reply is not None and reply.tag == str(tag)

    return Query(to_ascii(f"{head}:{tag}:{tail}"), lambda reply: parse(accepted(reply)), answers)


def _word(word: str) -> str:
    """A user's name or password, without punctuation that means something in TL1."""
    if _WORD.fullmatch(word) is None or _PUNCTUATION & set(word):
        raise LocalProtocolError(
            'a user or password without blanks and any of :;," is wanted, not the one given'
        )
    return word


def _some(pairs: Sequence[Route]) -> Sequence[Route]:
    if not pairs:
        raise LocalProtocolError("no ports are given: an empty list would mean all of them")
    return pairs


def _only_line(lines: Lines) -> str:
    if len(lines) != 1:
        raise RemoteProtocolError(f"expected one line, got {lines}")
    return lines[0]


def _size(lines: Lines) -> Size:
    match = _SIZE.fullmatch(_only_line(lines))
    if match is None or min(int(number) for number in match.groups()) < 1:
        raise RemoteProtocolError(f"not a matrix size: {lines}")
    return Size(int(match[1]), int(match[2]))


def _routes(lines: Lines) -> tuple[Route, ...]:
    matches = [_PATCH.fullmatch(line) for line in lines]
    pairs = tuple((int(match[1]), int(match[2])) for match in matches if match is not None)
    if len(pairs) != len(lines):
        raise RemoteProtocolError(f"not pairs of ports: {lines}")
    return pairs
