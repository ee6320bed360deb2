"""Messages of a Single Quantum EOS driver for superconducting detectors (WebSQ; the maker's public Python client).

Control, TCP port 12000: JSON objects; a command names a label and a value, a request for `labelProps` is answered with
one object a label, whose value is an object with the label's `value` in it. Labels also come unasked when they change.
Counts, TCP port 12345: a line a measurement period, `unixtime,c1,c2,...`. Currents are in uA, trigger levels in mV, the
measurement period is in ms. Assumed: that an object whose label contains `Error` and whose value is not empty refuses
what was said last; limits of the trigger levels; that the bias currents go as far as those of an I-V scan.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qdci_lab.errors import InstrumentError, LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.json_stream import json_object
from qdci_lab.wire.message import Command, Query, Report

MAX_BIAS_UA = 90.9
MAX_TRIGGER_MV = 1000.0
PERIOD_RANGE_S = (0.01, 60.0)
DIGITS = 3
NO_CODE = -1

DETECTORS, PERIOD, BIAS = "NumberOfDetectors", "InptMeasurementPeriod", "BiasCurrent"
TRIGGER, ENABLE = "TriggerLevel", "DetectorEnable"
LABELS = (DETECTORS, PERIOD, BIAS, TRIGGER, ENABLE)


@dataclass(frozen=True)
class Settings:
    """How the detectors are driven; currents and levels by detector."""

    detectors: int
    period_s: float
    bias_currents_ua: tuple[float, ...]
    trigger_levels_mv: tuple[float, ...]
    enabled: bool


@dataclass(frozen=True)
class Counts:
    """Clicks of each detector within one measurement period, and the driver's clock at its end."""

    unix_time_s: float
    clicks: tuple[int, ...]


def settings() -> Query[Settings]:
    """All labels, of which those in LABELS are kept; the answer is complete when each of them has come."""
    found = _Labels()
    request = json.dumps({"request": "labelProps", "value": "None"}).encode()
    return Query(request, lambda _reply: _settings(found.values), found.complete_with)


def set_bias_currents(currents_ua: Sequence[float]) -> Command:
    """SetAllBiasCurrents, one for each detector."""
    return _command("SetAllBiasCurrents", BIAS, _numbers("bias current", currents_ua, MAX_BIAS_UA, "uA"))


def set_trigger_levels(levels_mv: Sequence[float]) -> Command:
    """SetAllTriggerLevels, one for each detector."""
    return _command(
        "SetAllTriggerLevels", TRIGGER, _numbers("trigger level", levels_mv, MAX_TRIGGER_MV, "mV")
    )


def set_enabled(on: bool) -> Command:
    """DetectorEnable: bias currents on or off, for all detectors."""
    if on not in (0, 1):
        raise LocalProtocolError(f"detectors are on or off, not {on!r}")
    return _command("DetectorEnable", ENABLE, bool(on))


def set_period(period_s: float) -> Command:
    """SetMeasurementPeriod, in whole milliseconds."""
    low, high = PERIOD_RANGE_S
    if not low <= period_s <= high:
        raise LocalProtocolError(f"a measurement period of {period_s:g} s: must be {low:g} to {high:g} s")
    return _command("SetMeasurementPeriod", PERIOD, round(period_s * 1000.0))


def counts(detectors: int) -> Report[Counts]:
    """The next line of the counts port."""
    return Report(lambda line: _counts(line, detectors))


class _Labels:
    """Collects the labels' properties, in whatever order they come, and what changes among them meanwhile."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def complete_with(self, reply: bytes) -> bool:
        """Take in one object; whether all labels are known now. InstrumentError for one that reports an error."""
        message = json_object(reply)
        label, value = message.get("label"), message.get("value")
        if not isinstance(label, str):
            return False
        if "Error" in label:
            _raise_if_error(label, value)
        elif isinstance(value, dict):
            self.values[label] = value.get("value")
        elif label in self.values:
            self.values[label] = value
        return all(wanted in self.values for wanted in LABELS)


def _raise_if_error(label: str, value: Any) -> None:
    text = value.get("value") if isinstance(value, dict) else value
    if text:
        raise InstrumentError(NO_CODE, f"{label}: {text}")


def _command(word: str, label: str, value: Any) -> Command:
    return Command(json.dumps({"command": word, "label": label, "value": value}).encode())


def _numbers(name: str, values: Sequence[float], bound: float, unit: str) -> list[float]:
    for index, value in enumerate(values):
        if not (math.isfinite(value) and -bound <= value <= bound):
            raise LocalProtocolError(
                f"{name} {value:g} {unit} of detector {index + 1} is beyond +-{bound:g} {unit}"
            )
    return [round(float(value), DIGITS) for value in values]


def _settings(values: dict[str, Any]) -> Settings:
    try:
        detectors = int(values[DETECTORS])
        return Settings(
            detectors,
            float(values[PERIOD]) / 1000.0,
            _each(values[BIAS], detectors, float),
            _each(values[TRIGGER], detectors, float),
            bool(values[ENABLE]),
        )
    except (TypeError, ValueError) as error:
        raise RemoteProtocolError(f"labels of another kind than expected: {values!r:.200}") from error


def _each(values: Any, detectors: int, convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    """One value for each detector; a driver may have inputs that no detector is at."""
    if not isinstance(values, list) or len(values) < detectors:
        raise ValueError(f"not a value for each of {detectors} detectors: {values!r}")
    return tuple(convert(value) for value in values[:detectors])


def _counts(line: bytes, detectors: int) -> Counts:
    try:
        unix_time_s, *clicks = (float(field) for field in line.split(b","))
        return Counts(unix_time_s, _each(clicks, detectors, _whole))
    except ValueError as error:
        raise RemoteProtocolError(f"not a time and {detectors} numbers of clicks: {line!r}") from error


def _whole(value: float) -> int:
    if value < 0 or not value.is_integer():
        raise ValueError(f"not a number of clicks: {value}")
    return int(value)
