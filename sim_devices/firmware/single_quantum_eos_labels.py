"""The labels of a Single Quantum EOS: their values, bounds and units, and what is accepted for them.

Assumed: bounds, units and defaults; lists have one number for each detector; what does not fit is refused whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Value = Any
"""What a label holds, as JSON has it: a number, true or false, a text, a list of numbers or a scan."""


class Rejected(Exception):
    """A message that is answered with an error; its text says what is wrong."""


@dataclass(frozen=True)
class Label:
    """Default (of one detector where each has its own), bounds and unit of a label, and who may set it."""

    default: Value
    bounds: tuple[float, float] | None = None
    unit: str = ""
    each: bool = False
    settable: bool = True
    whole: bool = False


LABELS: dict[str, Label] = {
    "NumberOfDetectors": Label(0, settable=False),
    "SerialNumber": Label("", settable=False),
    "InptMeasurementPeriod": Label(100, (10, 60_000), "ms", whole=True),
    "BiasCurrent": Label(0.0, (-90.9, 90.9), "uA", each=True),
    "TriggerLevel": Label(0.0, (-1000.0, 1000.0), "mV", each=True),
    "DetectorEnable": Label(False),
    "BiasVoltage": Label(0.0, None, "mV", each=True, settable=False),
    "DarkCountsAutoIV": Label(100.0, (0.0, 1e9), "Hz", each=True),
    "StartAutoIV": Label(False, settable=False),
    "BiasCurrentAutoIV": Label(0.0, None, "uA", each=True, settable=False),
    "IVScanEnable": Label(False, settable=False),
    "IVScanStart": Label(0.0, (-90.9, 90.9), "uA"),
    "IVScanEnd": Label(30.0, (-90.9, 90.9), "uA"),
    "IVScanIncrement": Label(1.0, (-90.9, 90.9), "uA"),
    "ic_scan_history": Label([], settable=False),
    "iv_scan_history": Label([], settable=False),
}
"""Every label, with what it holds when the driver is switched on."""


class Labels:
    """The present values."""

    def __init__(self, detectors: int, serial_number: str) -> None:
        self._detectors = detectors
        self._values: dict[str, Value] = {
            name: [label.default] * detectors if label.each else label.default
            for name, label in LABELS.items()
        }
        self._values |= {"NumberOfDetectors": detectors, "SerialNumber": serial_number}

    def get(self, name: str) -> Value:
        """The present value."""
        return self._values[name]

    def number(self, name: str) -> float:
        """The present value of a label that is one number."""
        return float(self._values[name])

    def numbers(self, name: str) -> Sequence[float]:
        """The present values of a label that has one number for each detector."""
        return self._values[name]

    def put(self, name: str, value: Value) -> None:
        """What the instrument itself makes a label hold."""
        self._values[name] = value

    def set(self, name: str, value: object) -> None:
        """What a client asks for. Raises Rejected if the label does not exist or cannot hold it."""
        label = LABELS.get(name)
        if label is None or not label.settable:
            raise Rejected(f"unknown command {name}")
        if label.each:
            if not isinstance(value, list) or len(value) != self._detectors:
                raise Rejected(f"{name}: {value!r} is not a list of {self._detectors} numbers")
            self._values[name] = [_checked(name, label, item) for item in value]
        elif isinstance(label.default, bool):
            if not isinstance(value, bool):
                raise Rejected(f"{name}: {value!r} is neither true nor false")
            self._values[name] = value
        else:
            self._values[name] = _checked(name, label, value)

    def properties(self) -> dict[str, dict[str, Value]]:
        """Value, bounds and unit of every label."""
        return {
            name: {"value": self._values[name], "bounds": label.bounds, "units": label.unit}
            for name, label in LABELS.items()
        }


def _checked(name: str, label: Label, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(f"{name}: {value!r} is not a number")
    if label.bounds is not None and not label.bounds[0] <= value <= label.bounds[1]:
        raise Rejected(f"{name}: {value} is not within {label.bounds[0]} to {label.bounds[1]} {label.unit}")
    return round(value) if label.whole else float(value)
