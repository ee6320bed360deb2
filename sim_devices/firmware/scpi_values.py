"""SCPI program data and response data: numbers with suffixes, booleans, keywords, strings, blocks, channel lists.

Suffix multipliers follow IEEE 488.2 table 7-1 and SCPI-1999 volume 1 chapter 7; they are applied in decimal
arithmetic, so that 1640NM is the same float as 1.64E-6.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from sim_devices.firmware.scpi_errors import (
    BLOCK_DATA_NOT_ALLOWED,
    DATA_OUT_OF_RANGE,
    DATA_TYPE_ERROR,
    EXPONENT_TOO_LARGE,
    EXPRESSION_DATA_NOT_ALLOWED,
    ILLEGAL_PARAMETER_VALUE,
    INVALID_BLOCK_DATA,
    INVALID_CHARACTER_DATA,
    INVALID_CHARACTER_IN_NUMBER,
    INVALID_EXPRESSION,
    INVALID_STRING_DATA,
    INVALID_SUFFIX,
    MISSING_PARAMETER,
    PARAMETER_NOT_ALLOWED,
    STRING_DATA_NOT_ALLOWED,
    SUFFIX_NOT_ALLOWED,
    ErrorEntry,
    ScpiError,
)
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Handler, Request, keyword_forms

Units = Mapping[str, Decimal]


def _powers_of_ten(**exponents: int) -> Units:
    return {suffix: Decimal(1).scaleb(exponent) for suffix, exponent in exponents.items()}


LENGTH_M = _powers_of_ten(PM=-12, NM=-9, UM=-6, MM=-3, M=0)
LEVEL_DB = _powers_of_ten(MDB=-3, DB=0)
POWER_DBM = _powers_of_ten(MDBM=-3, DBM=0)
POWER_W = _powers_of_ten(PW=-12, NW=-9, UW=-6, MW=-3, W=0, WATT=0)
TIME_S = _powers_of_ten(PS=-12, NS=-9, US=-6, MS=-3, S=0)
FREQUENCY_HZ = _powers_of_ten(HZ=0, KHZ=3, MHZ=6, MAHZ=6, GHZ=9, THZ=12)
VOLTAGE_V = _powers_of_ten(UV=-6, MV=-3, V=0)
NO_UNIT: Units = {}

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*E\s*[+-]?\d{1,6})?)\s*(.*)", re.IGNORECASE | re.DOTALL)
_SUFFIX = re.compile(r"[A-Z/%][A-Z0-9/%.^-]*")
_NON_DECIMAL = {"H": 16, "Q": 8, "B": 2}
_PORTS = re.compile(r"\(\s*@\s*([\d\s,:]*)\)")


class PowerUnit(Enum):
    """The two units in which optical instruments state power."""

    DBM = 0
    WATT = 1


@dataclass(frozen=True)
class Limits:
    """Range and default of a numeric setting, and the queue entries for values beyond it."""

    minimum: float
    maximum: float
    default: float
    too_large: ErrorEntry = DATA_OUT_OF_RANGE
    too_small: ErrorEntry = DATA_OUT_OF_RANGE

    def check(self, value: float) -> float:
        """The value itself; raises ScpiError if it lies outside by more than the noise of float arithmetic."""
        noise = 1e-12 * max(abs(self.minimum), abs(self.maximum), 1e-15)
        if value > self.maximum + noise:
            raise ScpiError(self.too_large)
        if value < self.minimum - noise:
            raise ScpiError(self.too_small)
        return min(max(value, self.minimum), self.maximum)

    def named(self, text: str) -> float | None:
        """The value of MINimum, MAXimum or DEFault in either form and case, or None for another text."""
        values = {"MINimum": self.minimum, "MAXimum": self.maximum, "DEFault": self.default}
        return next((value for name, value in values.items() if text.upper() in keyword_forms(name)), None)


def arguments(request: Request, least: int, most: int | None = None) -> tuple[bytes, ...]:
    """The request's parameters if there are as many as allowed (`most` None: exactly `least`); else -109 or -108."""
    if len(request.parameters) < least:
        raise ScpiError(MISSING_PARAMETER)
    if len(request.parameters) > (least if most is None else most):
        raise ScpiError(PARAMETER_NOT_ALLOWED)
    return request.parameters


def bare(action: Callable[[], str | bytes | None]) -> Handler:
    """A handler for a command or query that has no parameters; raises -108 if there are any."""

    def handle(request: Request) -> str | bytes | None:
        arguments(request, 0)
        return action()

    return handle


def number(token: bytes, units: Units = NO_UNIT) -> float:
    """A decimal number with an optional suffix out of `units`, or a #H, #Q or #B number."""
    return _scaled(_plain(token), units)


def limited(token: bytes, limits: Limits, units: Units = NO_UNIT) -> float:
    """A number within limits, or one of the keywords MINimum, MAXimum and DEFault."""
    text = _plain(token)
    named = limits.named(text)
    return named if named is not None else limits.check(_scaled(text, units))


def integer(token: bytes, limits: Limits | None = None) -> int:
    """A number rounded to the nearest integer, within limits if there are any."""
    return round(number(token) if limits is None else limited(token, limits))


def power(token: bytes, unit: PowerUnit) -> tuple[float, PowerUnit]:
    """A power in the unit of its suffix, or in `unit` if it has none; not converted."""
    text = _plain(token)
    match = _NUMBER.fullmatch(text)
    suffix = match[2].strip().upper() if match else ""
    if suffix in POWER_DBM:
        return _scaled(text, POWER_DBM), PowerUnit.DBM
    if suffix:
        return _scaled(text, POWER_W), PowerUnit.WATT
    return _scaled(text, NO_UNIT), unit


def boolean(token: bytes) -> bool:
    """ON, OFF or a number, of which everything that does not round to zero is ON."""
    text = _plain(token).upper()
    if text in ("ON", "OFF"):
        return text == "ON"
    return round(_scaled(text, NO_UNIT)) != 0


def choice(token: bytes, *keywords: str) -> str:
    """The short form of the keyword that is meant; raises -224 for another word, -1xx for strings and blocks."""
    text = _plain(token).upper()
    for keyword in keywords:
        if text in keyword_forms(keyword):
            return keyword_forms(keyword)[0]
    raise ScpiError(ILLEGAL_PARAMETER_VALUE)


def string(token: bytes) -> str:
    """A quoted string without its quotes; a doubled quote inside stands for one."""
    text = token.strip(b" \t\r\n")
    quote = text[:1]
    if quote not in (b'"', b"'"):
        raise ScpiError(DATA_TYPE_ERROR)
    if len(text) < 2 or text[-1:] != quote:
        raise ScpiError(INVALID_STRING_DATA)
    return text[1:-1].replace(quote * 2, quote).decode("latin-1")


def is_block(token: bytes) -> bool:
    """Whether a parameter is an arbitrary block."""
    text = token.lstrip(b" \t\r\n\0")
    return text[:1] == b"#" and text[1:2].isdigit()


def block(token: bytes) -> bytes:
    """The data of a definite block, or of an indefinite one that the end of the message ended."""
    text = token[token.find(b"#") :] if is_block(token) else b""
    if not text:
        raise ScpiError(DATA_TYPE_ERROR)
    digits = text[1] - b"0"[0]
    if digits == 0:
        return text[2:].removesuffix(b"\r")
    start = 2 + digits
    length = text[2:start]
    end = start + int(length) if length.isdigit() else len(text) + 1
    if end > len(text) or text[end:].strip(b" \t\r\n\0"):
        raise ScpiError(INVALID_BLOCK_DATA)
    return text[start:end]


def channel_list(token: bytes) -> list[int]:
    """The numbers of a channel list such as (@1,2,5:8); (@) is empty. Raises -171 for anything else."""
    match = _PORTS.fullmatch(plain_text(token))
    if match is None:
        raise ScpiError(INVALID_EXPRESSION if token.lstrip()[:1] == b"(" else DATA_TYPE_ERROR)
    ports: list[int] = []
    for entry in match[1].split(",") if match[1].strip() else []:
        ends = [end.strip() for end in entry.split(":")]
        if not 1 <= len(ends) <= 2 or not all(end.isdigit() for end in ends):
            raise ScpiError(INVALID_EXPRESSION)
        first, last = int(ends[0]), int(ends[-1])
        ports.extend(range(first, last + 1) if first <= last else range(first, last - 1, -1))
    return ports


def definite_block(data: bytes) -> bytes:
    """Response data as `#<digits><length><bytes>`."""
    length = b"%d" % len(data)
    return b"#%d%b%b" % (len(length), length, data)


def exact_nr3(value: float) -> str:
    """Fifteen digits in NR3 form, 6.40000000000000E+10, or seventeen where only they read back as the same float."""
    text = f"{value + 0.0:.14E}"
    return text if float(text) == value else f"{value:.16E}"


def _plain(token: bytes) -> str:
    text = plain_text(token)
    if not text:
        raise ScpiError(MISSING_PARAMETER)
    if text[0] in "\"'":
        raise ScpiError(STRING_DATA_NOT_ALLOWED)
    if text[0] == "(":
        raise ScpiError(EXPRESSION_DATA_NOT_ALLOWED)
    if is_block(token):
        raise ScpiError(BLOCK_DATA_NOT_ALLOWED)
    return text


def _scaled(text: str, units: Units) -> float:
    if text[0] == "#":
        return float(_non_decimal(text))
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ScpiError(INVALID_CHARACTER_DATA if text[0].isalpha() else INVALID_CHARACTER_IN_NUMBER)
    value = Decimal(re.sub(r"\s", "", match[1]))
    if value.adjusted() > 300:
        raise ScpiError(EXPONENT_TOO_LARGE)
    return float(value * _multiplier(match[2].strip().upper(), units))


def _multiplier(suffix: str, units: Units) -> Decimal:
    if not suffix:
        return Decimal(1)
    if not _SUFFIX.fullmatch(suffix):
        raise ScpiError(INVALID_CHARACTER_IN_NUMBER)
    if not units:
        raise ScpiError(SUFFIX_NOT_ALLOWED)
    if suffix not in units:
        raise ScpiError(INVALID_SUFFIX)
    return units[suffix]


def _non_decimal(text: str) -> int:
    base = _NON_DECIMAL.get(text[1:2].upper())
    try:
        if base is None:
            raise ScpiError(INVALID_CHARACTER_IN_NUMBER)
        return int(text[2:], base)
    except ValueError as error:
        raise ScpiError(INVALID_CHARACTER_IN_NUMBER) from error
