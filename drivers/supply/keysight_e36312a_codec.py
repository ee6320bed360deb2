"""Messages of the Keysight E36312A, a DC supply with three outputs.

Reference: Keysight E36300 Series Programming Guide, as public drivers use it: a channel is given as a list, `(@2)`,
behind the value. Assumed: the text of the empty error queue.
"""

from typing import SupportsFloat

from qdci_lab.errors import LocalProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import boolean, finite, number, on_off

CHANNELS = (1, 2, 3)
CLEAR_STATUS = Command.text("*CLS")


def checked_channel(channel: int) -> int:
    """A channel that there is; LocalProtocolError otherwise."""
    if isinstance(channel, bool) or channel not in CHANNELS:
        raise LocalProtocolError(f"channel {channel!r}: must be one of {CHANNELS}")
    return channel


class VoltageSetpoint:
    """[SOURce:]VOLTage[:LEVel][:IMMediate][:AMPLitude]: V, kept while the current is below its limit."""

    @staticmethod
    def get(channel: int) -> Query[float]:
        return Query.text(f":VOLT? (@{checked_channel(channel)})", number)

    @staticmethod
    def set(channel: int, voltage_v: float) -> Command:
        return Command.text(f":VOLT {finite(voltage_v):.4f}, (@{checked_channel(channel)})")


class CurrentLimit:
    """[SOURce:]CURRent[:LEVel][:IMMediate][:AMPLitude]: A that the output never exceeds."""

    @staticmethod
    def get(channel: int) -> Query[float]:
        return Query.text(f":CURR? (@{checked_channel(channel)})", number)

    @staticmethod
    def set(channel: int, current_a: float) -> Command:
        return Command.text(f":CURR {finite(current_a):.4f}, (@{checked_channel(channel)})")


class OutputState:
    """OUTPut[:STATe]."""

    @staticmethod
    def get(channel: int) -> Query[bool]:
        return Query.text(f":OUTP? (@{checked_channel(channel)})", boolean)

    @staticmethod
    def set(channel: int, state: SupportsFloat) -> Command:
        return Command.text(f":OUTP {on_off(state)}, (@{checked_channel(channel)})")


def measured_voltage(channel: int) -> Query[float]:
    """MEASure[:SCALar]:VOLTage[:DC]?: V at the output."""
    return Query.text(f":MEAS:VOLT? (@{checked_channel(channel)})", number)


def measured_current(channel: int) -> Query[float]:
    """MEASure[:SCALar]:CURRent[:DC]?: A out of the output."""
    return Query.text(f":MEAS:CURR? (@{checked_channel(channel)})", number)
