"""Messages of the Keysight N77xx family: attenuators, power meters, tunable lasers.

Reference: Keysight N77xx Series Programming Guide, N7744-90C01, edition 7 (March 2015). Each class names its command;
the chapters are Signal Generation (SOURce), Signal Conditioning (INPut, OUTput) and Measurement Functions (INITiate,
READ, SENSe). Where `get` takes a bound, LOWEST and HIGHEST ask what may be set. Floats are 32-bit in the instrument.
Wavelengths are nm here and metres in replies.
"""

import math
from typing import SupportsFloat

from qdci_lab.errors import LocalProtocolError
from qdci_lab.units import watt_to_dbm
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import boolean, finite, number, on_off

CLEAR_STATUS = Command.text("*CLS")
NO_READING_W = 3.4e38
NM_PER_M = 1e9
LOWEST, HIGHEST = " MIN", " MAX"


def checked_slot(slot: int, slots: int) -> int:
    """A slot that the model has; LocalProtocolError otherwise."""
    if isinstance(slot, bool) or not isinstance(slot, int) or not 1 <= slot <= slots:
        raise LocalProtocolError(f"slot {slot!r}: must be a whole number from 1 to {slots}")
    return slot


def power_reading_w(reply: bytes) -> float:
    """A reading in W, negative where noise makes it so; not-a-number where the instrument has no valid value.

    Assumed from the maker's 816x family: an invalid reading is printed as the largest 32-bit float, 3.4028E+038.
    """
    power_w = number(reply)
    return math.nan if abs(power_w) >= NO_READING_W else power_w


def power_dbm(power_w: float) -> float:
    """A reading in dBm: minus infinity for zero and for noise below it, not-a-number where there is no valid value."""
    return math.nan if math.isnan(power_w) else watt_to_dbm(power_w)


def wavelength_nm(reply: bytes) -> float:
    """A wavelength reply, which is in metres, as nm, without the digits that a 32-bit float does not have."""
    return round(number(reply) * NM_PER_M, 4)


def frequency_thz(reply: bytes) -> float:
    """A frequency reply, which is in Hz, as THz."""
    return number(reply) / 1e12


class Attenuation:
    """:INPut[n]:ATTenuation: dB, the sum of the filter's attenuation and the offset."""

    @staticmethod
    def get(slot: int) -> Query[float]:
        return Query.text(f":INP{slot}:ATT?", number)

    @staticmethod
    def set(slot: int, attenuation_db: float) -> Command:
        return Command.text(f":INP{slot}:ATT {finite(attenuation_db):.3f}")


class AttenuationOffset:
    """:INPut[n]:OFFSet: dB from -200 to 200, added to the attenuation's value; the filter does not move."""

    @staticmethod
    def get(slot: int) -> Query[float]:
        return Query.text(f":INP{slot}:OFFS?", number)

    @staticmethod
    def set(slot: int, offset_db: float) -> Command:
        return Command.text(f":INP{slot}:OFFS {finite(offset_db):.3f}")


class AttenuationSpeed:
    """:INPut[n]:ATTenuation:SPEed: the filter's speed in dB/s."""

    @staticmethod
    def get(slot: int, bound: str = "") -> Query[float]:
        return Query.text(f":INP{slot}:ATT:SPE?{bound}", number)

    @staticmethod
    def set(slot: int, speed_db_per_s: float) -> Command:
        return Command.text(f":INP{slot}:ATT:SPE {finite(speed_db_per_s):.2f}")


class AttenuatorWavelength:
    """:INPut[n]:WAVelength: for which the filter is corrected."""

    @staticmethod
    def get(slot: int) -> Query[float]:
        return Query.text(f":INP{slot}:WAV?", wavelength_nm)

    @staticmethod
    def set(slot: int, value_nm: float) -> Command:
        return Command.text(f":INP{slot}:WAV {finite(value_nm):.3f}NM")


class Output:
    """:OUTPut[n][:STATe]: the attenuator's shutter (1 is open), or the laser's emission."""

    @staticmethod
    def get(slot: int) -> Query[bool]:
        return Query.text(f":OUTP{slot}?", boolean)

    @staticmethod
    def set(slot: int, state: SupportsFloat) -> Command:
        return Command.text(f":OUTP{slot} {on_off(state)}")


class PowerControl:
    """:OUTPut[n]:POWer:CONTRol: while it is on, the attenuator moves by itself to keep its output power."""

    @staticmethod
    def set(slot: int, state: SupportsFloat) -> Command:
        return Command.text(f":OUTP{slot}:POW:CONTR {on_off(state)}")


class MonitorUnit:
    """:OUTPut[n]:POWer:UNit of the attenuator's own power meter."""

    @staticmethod
    def set_watt(slot: int) -> Command:
        return Command.text(f":OUTP{slot}:POW:UN WATT")


class PowerReading:
    """:READ[n]:POWer?: with a trigger of its own where the meter does not measure continuously."""

    @staticmethod
    def get(slot: int) -> Query[float]:
        return Query.text(f":READ{slot}:POW?", power_reading_w)


class MeterSetup:
    """A sensor that answers each READ with a new, absolute measurement in W, in the range that fits.

    :SENSe[n]:POWer:UNIT, :SENSe[n]:POWer:REFerence:STATe, :SENSe[n]:POWer:RANGe:AUTO, :INITiate[n]:CONTinuous.
    """

    @staticmethod
    def commands(slot: int) -> tuple[Command, ...]:
        return (
            Command.text(f":SENS{slot}:POW:UNIT WATT"),
            Command.text(f":SENS{slot}:POW:REF:STAT 0"),
            Command.text(f":SENS{slot}:POW:RANG:AUTO 1"),
            Command.text(f":INIT{slot}:CONT 0"),
        )


class SensorWavelength:
    """:SENSe[n]:POWer:WAVelength: for which the sensor's response is corrected."""

    @staticmethod
    def get(slot: int, bound: str = "") -> Query[float]:
        return Query.text(f":SENS{slot}:POW:WAV?{bound}", wavelength_nm)

    @staticmethod
    def set(slot: int, value_nm: float) -> Command:
        return Command.text(f":SENS{slot}:POW:WAV {finite(value_nm):.3f}NM")


class AveragingTime:
    """:SENSe[n]:POWer:ATIMe in seconds."""

    @staticmethod
    def get(slot: int) -> Query[float]:
        return Query.text(f":SENS{slot}:POW:ATIM?", number)

    @staticmethod
    def set(slot: int, averaging_time_s: float) -> Command:
        return Command.text(f":SENS{slot}:POW:ATIM {finite(averaging_time_s):.6f}S")


class LaserWavelength:
    """[:SOURce[n]]:WAVelength: can be set in auto mode only."""

    @staticmethod
    def get(slot: int, bound: str = "") -> Query[float]:
        return Query.text(f":SOUR{slot}:WAV?{bound}", wavelength_nm)

    @staticmethod
    def set(slot: int, value_nm: float) -> Command:
        return Command.text(f":SOUR{slot}:WAV {finite(value_nm):.4f}NM")


class LaserAutoMode:
    """[:SOURce[n]]:WAVelength:AUTO: 1 is auto mode, in which wavelengths are free; 0 is grid mode."""

    @staticmethod
    def get(slot: int) -> Query[bool]:
        return Query.text(f":SOUR{slot}:WAV:AUTO?", boolean)

    @staticmethod
    def set(slot: int, state: SupportsFloat) -> Command:
        return Command.text(f":SOUR{slot}:WAV:AUTO {on_off(state)}")


class LaserFrequency:
    """[:SOURce[n]]:FREQuency."""

    @staticmethod
    def get(slot: int) -> Query[float]:
        return Query.text(f":SOUR{slot}:FREQ?", frequency_thz)


class LaserPower:
    """[:SOURce[n]]:POWer in dBm, once the unit is dBm."""

    @staticmethod
    def get(slot: int, bound: str = "") -> Query[float]:
        return Query.text(f":SOUR{slot}:POW?{bound}", number)

    @staticmethod
    def set(slot: int, power_dbm: float) -> Command:
        return Command.text(f":SOUR{slot}:POW {finite(power_dbm):.3f}DBM")

    @staticmethod
    def set_unit_dbm(slot: int) -> Command:
        return Command.text(f":SOUR{slot}:POW:UNIT DBM")
