"""Numbers of the quTAG library's interface: return codes, types and ranges.

Reference: qutools tdcdecl.h and tdcbase.h. The texts of the return codes follow the comments there; that
TDC_perror prints them so is assumed.
"""

from enum import IntEnum

from qdci_lab.errors import LabError

TIMEBASE_S = 1e-12
MAX_BUFFER_SIZE = 1_000_000
MAX_COINCIDENCE_WINDOW_PS = 2_000_000_000
MAX_EXPOSURE_MS = 65_535
MAX_DELAY_PS = 100_000
SYNC_DIVIDERS = (1, 2, 4, 8)
MIN_THRESHOLD_V, MAX_THRESHOLD_V = -2.0, 3.0
THRESHOLD_STEP_V = 1.47e-3


class ReturnCode(IntEnum):
    """What every function that can fail returns."""

    OK = 0
    ERROR = -1
    TIMEOUT = 1
    NOT_CONNECTED = 2
    DRIVER_ERROR = 3
    DEVICE_LOCKED = 7
    UNKNOWN = 8
    NO_DEVICE = 9
    OUT_OF_RANGE = 10
    CANT_OPEN = 11
    NOT_INITIALIZED = 12
    NOT_ENABLED = 13
    NOT_AVAILABLE = 14


TEXTS = {
    ReturnCode.OK: "Success",
    ReturnCode.ERROR: "Unspecified error",
    ReturnCode.TIMEOUT: "Receive timed out",
    ReturnCode.NOT_CONNECTED: "No connection was established",
    ReturnCode.DRIVER_ERROR: "Error accessing the USB driver",
    ReturnCode.DEVICE_LOCKED: "Can't connect device because already in use",
    ReturnCode.UNKNOWN: "Unknown error",
    ReturnCode.NO_DEVICE: "Invalid device number used in call",
    ReturnCode.OUT_OF_RANGE: "Parameter in function call is out of range",
    ReturnCode.CANT_OPEN: "Failed to open specified file",
    ReturnCode.NOT_INITIALIZED: "Library has not been initialized",
    ReturnCode.NOT_ENABLED: "Requested feature is not enabled",
    ReturnCode.NOT_AVAILABLE: "Requested feature is not available",
}


class SignalConditioning(IntEnum):
    """TDC_SignalCond without its invalid value."""

    LVTTL = 1
    NIM = 2
    MISC = 3


class SimulationType(IntEnum):
    """TDC_SimType without its invalid value."""

    FLAT = 0
    NORMAL = 1


class TdcRefusal(LabError):
    """A call that ends with a return code other than 0."""

    def __init__(self, code: ReturnCode) -> None:
        self.code = code
        super().__init__(f"return code {code.value}: {TEXTS[code]}")


def require_range(inside: bool) -> None:
    """Refuse with OUT_OF_RANGE unless a parameter is `inside` its range."""
    if not inside:
        raise TdcRefusal(ReturnCode.OUT_OF_RANGE)
