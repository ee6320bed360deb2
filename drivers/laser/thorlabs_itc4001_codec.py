"""Messages of the Thorlabs ITC4001, a current source and temperature controller for laser diodes and LEDs.

Reference: Thorlabs Series 4000 SCPI programmer's reference (LDC4000, TED4000, ITC4000). Source 1 is the diode's
current, source 2 the temperature. Assumed: that the measurement status has a condition register beside its events.
"""

from typing import SupportsFloat

from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import boolean, finite, integer, number, on_off, text

CLEAR_STATUS = Command.text("*CLS")
CONSTANT_CURRENT = "CURR"
OBSTACLES = {
    0: "keylock",
    1: "diode voltage compliance",
    2: "interlock open",
    3: "current limit",
    4: "inhibited",
    5: "power limit",
    8: "temperature protection",
    9: "temperature outside its window",
    10: "temperature sensor",
    11: "cooler voltage compliance",
    12: "cooler not connected",
    14: "overtemperature",
}


class Emission:
    """OUTPut[1][:STATe]: the diode's current."""

    @staticmethod
    def get() -> Query[bool]:
        return Query.text(":OUTP?", boolean)

    @staticmethod
    def set(state: SupportsFloat) -> Command:
        return Command.text(f":OUTP {on_off(state)}")


class Mode:
    """SOURce[1]:FUNCtion:MODE: constant current (CURR) or power (POW)."""

    @staticmethod
    def get() -> Query[str]:
        return Query.text(":SOUR:FUNC:MODE?", lambda reply: text(reply).upper()[:4])

    @staticmethod
    def set_constant_current() -> Command:
        return Command.text(f":SOUR:FUNC:MODE {CONSTANT_CURRENT}")


class Current:
    """SOURce[1]:CURRent[:LEVel][:AMPLitude] in A."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":SOUR:CURR?", number)

    @staticmethod
    def set(current_a: float) -> Command:
        return Command.text(f":SOUR:CURR {finite(current_a):.6f}")


class CurrentLimit:
    """SOURce[1]:CURRent:LIMit in A: the instrument's own protection of the diode."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":SOUR:CURR:LIM?", number)

    @staticmethod
    def set(current_a: float) -> Command:
        return Command.text(f":SOUR:CURR:LIM {finite(current_a):.6f}")


class TemperatureControl:
    """OUTPut2[:STATe]: the thermoelectric cooler."""

    @staticmethod
    def get() -> Query[bool]:
        return Query.text(":OUTP2?", boolean)

    @staticmethod
    def set(state: SupportsFloat) -> Command:
        return Command.text(f":OUTP2 {on_off(state)}")


class TemperatureSetpoint:
    """SOURce2:TEMPerature in degrees Celsius, between its LIMit:LOW and LIMit:HIGH."""

    @staticmethod
    def get() -> Query[float]:
        return Query.text(":SOUR2:TEMP?", number)

    @staticmethod
    def set(temperature_c: float) -> Command:
        return Command.text(f":SOUR2:TEMP {finite(temperature_c):.3f}")

    @staticmethod
    def lowest() -> Query[float]:
        return Query.text(":SOUR2:TEMP:LIM:LOW?", number)

    @staticmethod
    def highest() -> Query[float]:
        return Query.text(":SOUR2:TEMP:LIM:HIGH?", number)


class Measurement:
    """MEASure:CURRent?, :VOLTage?, :TEMPerature?: A through the diode, V at it, degrees Celsius of the sensor."""

    CURRENT = Query.text(":MEAS:CURR?", number)
    VOLTAGE = Query.text(":MEAS:VOLT?", number)
    TEMPERATURE = Query.text(":MEAS:TEMP?", number)


CONDITION = Query.text(":STAT:MEAS:COND?", integer)


def obstacles(condition: int) -> list[str]:
    """What the bits of the measurement condition say, in their order; bits without a name by their number."""
    bits = [bit for bit in range(condition.bit_length()) if condition >> bit & 1]
    return [OBSTACLES.get(bit, f"condition bit {bit}") for bit in bits]
