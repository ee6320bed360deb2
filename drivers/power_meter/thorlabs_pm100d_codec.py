"""Messages of the Thorlabs PM100D optical power meter and its kin (PM101, PM400).

Reference: Thorlabs PM100x SCPI programmer's reference, as public drivers use it. Wavelengths are in nm on the wire.
Assumed: that the sensor's identity is a comma list that begins with its name, that MINimum and MAXimum ask for its
range of wavelengths, and that a reading beyond the range is printed as SCPI's infinity.
"""

import math

from qdci_lab.errors import LocalProtocolError
from qdci_lab.units import watt_to_dbm
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import finite, integer, number, text

CLEAR_STATUS = Command.text("*CLS")
LOWEST, HIGHEST = " MIN", " MAX"
ABSOLUTE_WATTS = (Command.text(":SENS:POW:UNIT W"), Command.text(":SENS:RANGE:AUTO ON"))
READING = Query.text(":MEAS:POW?", number)
SENSOR = Query.text(":SYST:SENS:IDN?", text)


def power_dbm(power_w: float) -> float:
    """A reading in dBm: minus infinity for zero and for noise below it, infinity beyond the range."""
    return math.nan if math.isnan(power_w) else watt_to_dbm(power_w)


class Wavelength:
    """SENSe:CORRection:WAVelength: for which the sensor's response is corrected, in nm."""

    @staticmethod
    def get(bound: str = "") -> Query[float]:
        return Query.text(f":SENS:CORR:WAV?{bound}", number)

    @staticmethod
    def set(wavelength_nm: float) -> Command:
        return Command.text(f":SENS:CORR:WAV {finite(wavelength_nm):.3f}")


class Averages:
    """SENSe:AVERage[:COUNt]: how many samples of the converter are one reading."""

    @staticmethod
    def get() -> Query[int]:
        return Query.text(":SENS:AVER?", integer)

    @staticmethod
    def set(count: float) -> Command:
        if not float(count).is_integer() or count < 1:
            raise LocalProtocolError(f"{count} averages: must be a whole number from 1 on")
        return Command.text(f":SENS:AVER {int(count)}")
