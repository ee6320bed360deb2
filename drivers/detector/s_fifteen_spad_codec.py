"""What an S-Fifteen InGaAs single-photon detector understands (S-Fifteen Instruments' public pyS15 driver).

Lower-case words; a value is set without a reply and asked for with `?`. Lines end with CR and LF. Volts for `hvolt`
and `threshvolt`, and that an unknown word is answered with something that is no number, are assumed.
"""

import math

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import number, text

IDENTITY = Query.text("*idn?", text)


class Setting:
    """A number that can be asked for and set, such as `hvolt`; `scale` is how many of its units make one of ours."""

    def __init__(self, word: str, *, scale: float = 1.0, digits: int = 3) -> None:
        self._word = word
        self._scale = scale
        self._digits = digits

    def get(self) -> Query[float]:
        """The value in our unit."""
        return Query.text(f"{self._word}?", lambda reply: number(reply) / self._scale)

    def set(self, value: float) -> Command:
        """Set it; LocalProtocolError for what is no finite number."""
        if not math.isfinite(value):
            raise LocalProtocolError(f"{self._word} is a finite number, not {value}")
        return Command.text(f"{self._word} {value * self._scale:.{self._digits}f}")


BIAS_VOLTAGE_V = Setting("hvolt")
THRESHOLD_VOLTAGE_V = Setting("threshvolt")
TARGET_TEMPERATURE_C = Setting("settemp")
INTEGRATION_TIME_S = Setting("time", scale=1000.0, digits=0)


def temperature() -> Query[float]:
    """`temp?`: temperature of the diode in degrees Celsius."""
    return Query.text("temp?", number)


def counts() -> Query[int]:
    """`counts?`: clicks within one integration time, answered when that has passed."""
    return Query.text("counts?", _counts)


def _counts(reply: bytes) -> int:
    value = number(reply)
    if value < 0 or not value.is_integer():
        raise RemoteProtocolError(f"not a number of clicks: {reply!r}")
    return int(value)
