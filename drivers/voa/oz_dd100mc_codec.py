"""What an OZ Optics DD-100-MC motor-driven attenuator understands (its command list, as public drivers have it).

Attenuations are in dB and contain the insertion loss; two digits behind the point are taken. Assumed: the labels in
the reply to `CD`, which no public driver reads, and that attenuations below the insertion loss are of no use.
"""

import math
from dataclasses import dataclass

from drivers.oz_motor_codec import done, integer, number
from qdci_lab.errors import LocalProtocolError
from qdci_lab.wire.message import Query

DIGITS = 2


@dataclass(frozen=True)
class Position:
    """Where the attenuator is: steps of the motor from home, and the attenuation in dB that belongs to them."""

    steps: int
    attenuation_db: float


@dataclass(frozen=True)
class Configuration:
    """What the unit was calibrated for, in dB."""

    insertion_loss_db: float
    max_attenuation_db: float


def position() -> Query[Position]:
    """`D`: `DPos:<steps>` and `ATTEN:<dB>`."""
    return Query.text("D", lambda reply: Position(integer("DPos", reply), number("ATTEN", reply)))


def configuration() -> Query[Configuration]:
    """`CD`: the unit's configuration, of which `IL:` and `MAX ATTEN:` matter here."""
    return Query.text("CD", lambda reply: Configuration(number("IL", reply), number("MAX ATTEN", reply)))


def set_attenuation(attenuation_db: float) -> Query[int]:
    """`A<dB>`: move; the answer are the steps from home, `Pos:<steps>`, when the motor has stopped."""
    if not (math.isfinite(attenuation_db) and attenuation_db >= 0.0):
        raise LocalProtocolError(f"an attenuation is a number of dB and not negative, not {attenuation_db}")
    return Query.text(f"A{attenuation_db:.{DIGITS}f}", lambda reply: integer("Pos", reply))


def home() -> Query[None]:
    """`H`: find the home sensor, which takes up to 30 s."""
    return Query.text("H", done)
