"""SCPI error numbers and texts (SCPI-1999 volume 2, chapter 21.8), as exceptions and as queue entries."""

from typing import NamedTuple


class ErrorEntry(NamedTuple):
    """One entry of an error queue."""

    code: int
    text: str


class ScpiError(Exception):
    """A command was refused; its entry goes to the error queue and a query that raises it answers nothing."""

    def __init__(self, entry: ErrorEntry) -> None:
        super().__init__(f"{entry.code}, {entry.text}")
        self.entry = entry


INVALID_CHARACTER = ErrorEntry(-101, "Invalid character")
INVALID_SEPARATOR = ErrorEntry(-103, "Invalid separator")
DATA_TYPE_ERROR = ErrorEntry(-104, "Data type error")
PARAMETER_NOT_ALLOWED = ErrorEntry(-108, "Parameter not allowed")
MISSING_PARAMETER = ErrorEntry(-109, "Missing parameter")
UNDEFINED_HEADER = ErrorEntry(-113, "Undefined header")
HEADER_SUFFIX_OUT_OF_RANGE = ErrorEntry(-114, "Header suffix out of range")
INVALID_CHARACTER_IN_NUMBER = ErrorEntry(-121, "Invalid character in number")
EXPONENT_TOO_LARGE = ErrorEntry(-123, "Exponent too large")
INVALID_SUFFIX = ErrorEntry(-131, "Invalid suffix")
SUFFIX_NOT_ALLOWED = ErrorEntry(-138, "Suffix not allowed")
INVALID_CHARACTER_DATA = ErrorEntry(-141, "Invalid character data")
INVALID_STRING_DATA = ErrorEntry(-151, "Invalid string data")
STRING_DATA_NOT_ALLOWED = ErrorEntry(-158, "String data not allowed")
INVALID_BLOCK_DATA = ErrorEntry(-161, "Invalid block data")
BLOCK_DATA_NOT_ALLOWED = ErrorEntry(-168, "Block data not allowed")
INVALID_EXPRESSION = ErrorEntry(-171, "Invalid expression")
EXPRESSION_DATA_NOT_ALLOWED = ErrorEntry(-178, "Expression data not allowed")
SETTINGS_CONFLICT = ErrorEntry(-221, "Settings conflict")
DATA_OUT_OF_RANGE = ErrorEntry(-222, "Data out of range")
TOO_MUCH_DATA = ErrorEntry(-223, "Too much data")
ILLEGAL_PARAMETER_VALUE = ErrorEntry(-224, "Illegal parameter value")
OUT_OF_MEMORY = ErrorEntry(-225, "Out of memory")
HARDWARE_MISSING = ErrorEntry(-241, "Hardware missing")
QUEUE_OVERFLOW = ErrorEntry(-350, "Queue overflow")
NO_ERROR = ErrorEntry(0, "No error")
