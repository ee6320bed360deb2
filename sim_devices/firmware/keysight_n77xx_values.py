"""How the N77xx family prints numbers, and its own error entries.

Reference: Keysight N77xx Series Programming Guide, chapters 1 ("Data Types") and 7 ("SCPI Error Strings").
"""

from sim_devices.firmware.scpi_errors import ILLEGAL_PARAMETER_VALUE, ErrorEntry, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Request
from sim_devices.firmware.scpi_values import Limits, arguments

STAT_TOO_LARGE = ErrorEntry(-222, "Data out of range (StatParmTooLarge)")
STAT_TOO_SMALL = ErrorEntry(-222, "Data out of range (StatParmTooSmall)")
PARAMETER_INCONSISTENT = ErrorEntry(-221, "Settings conflict (StatParmInconsistent)")
COMMAND_NOT_SUPPORTED = ErrorEntry(-301, "Module doesn't support this command (StatCmdUnknown)")
SLOT_INVALID = ErrorEntry(-303, "Module slot empty or slot / channel invalid")
INVALID_SETTING = ErrorEntry(-290, "Invalid setting")


def stat_limits(minimum: float, maximum: float, default: float) -> Limits:
    """Limits whose violations are reported in this family's words."""
    return Limits(minimum, maximum, default, STAT_TOO_LARGE, STAT_TOO_SMALL)


def real(value: float) -> str:
    """A float as this family prints it: +1.40000000E+001."""
    mantissa, exponent = f"{value + 0.0:+.8E}".split("E")
    return f"{mantissa}E{exponent[0]}{int(exponent[1:]):03d}"


def flag(value: bool) -> str:
    """A boolean as this family prints it."""
    return "1" if value else "0"


def asked(request: Request, limits: Limits, present: float) -> str:
    """Answer a numeric query: the present value, or the limit that the keyword parameter names."""
    parameters = arguments(request, 0, 1)
    if not parameters:
        return real(present)
    named = limits.named(plain_text(parameters[0]))
    if named is None:
        raise ScpiError(ILLEGAL_PARAMETER_VALUE)
    return real(named)
