"""Replies of the OZ Optics instruments with a stepper motor (DD-100-MC, ODL-650-MC), as their public drivers have them.

A reply is some lines and the mark `Done`, or a mark `Error-<n>` in its place; where the echo is on, the command stands
before it. That the delay line refuses with the attenuator's marks is assumed.
"""

import re

from qdci_lab.errors import InstrumentError, RemoteProtocolError

DONE = b"Done"
ERRORS = {
    2: "bad command",
    5: "home sensor error",
    6: "overflow",
    7: "motor voltage exceeds safe limits",
}
END_MARKS = (DONE, *(f"Error-{code}".encode() for code in ERRORS))

_REFUSED = re.compile(rb"Error-(\d)\s*$")


def accepted(reply: bytes) -> str:
    """The reply's text before its mark; a refusal is an InstrumentError with the instrument's own number."""
    refused = _REFUSED.search(reply)
    if refused is not None:
        code = int(refused[1])
        raise InstrumentError(code, ERRORS.get(code, "unknown error"))
    if not reply.endswith(DONE):
        raise RemoteProtocolError(f"expected a reply that ends with Done, got {reply!r}")
    return reply.removesuffix(DONE).decode("ascii", "replace").strip()


def done(reply: bytes) -> None:
    """A reply that says nothing but that the command was carried out."""
    accepted(reply)


def labelled(label: str, reply: bytes) -> str:
    """What stands behind the last label such as `ATTEN:` in a reply, up to the next blank or the end of its line."""
    words = re.findall(rf"(?<![A-Za-z]){re.escape(label)}:\s*(\S+)", accepted(reply))
    if not words:
        raise RemoteProtocolError(f"expected {label}: in {reply!r}")
    return words[-1]


def integer(label: str, reply: bytes) -> int:
    """The integer behind a label."""
    word = labelled(label, reply)
    if re.fullmatch(r"[+-]?\d+", word) is None:
        raise RemoteProtocolError(f"expected an integer behind {label}: in {reply!r}")
    return int(word)


def number(label: str, reply: bytes) -> float:
    """The number behind a label; a unit that clings to it, as in `1.20(dB)`, is left out."""
    match = re.match(r"[+-]?(\d+\.?\d*|\.\d+)", labelled(label, reply))
    if match is None:
        raise RemoteProtocolError(f"expected a number behind {label}: in {reply!r}")
    return float(match[0])
