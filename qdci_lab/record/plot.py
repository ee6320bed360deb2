"""Which columns a viewer shows first: what the plan asks for, or what bluesky's hints say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qdci_lab.record.columns import storable
from qdci_lab.record.survey import Stream, Survey


@dataclass(frozen=True)
class Plot:
    """Columns `y` (the first is the signal) of a stream against `x`, or against the time of the event without one."""

    stream: str
    x: str | None
    y: tuple[str, ...]
    errors: Mapping[str, str] = field(default_factory=dict)


def default_plot(survey: Survey) -> Plot | None:
    """The start document's `plot` ({"x": key, "y": [keys], "errors": {y: key}}) if it fits, else the hints'."""
    asked = survey.start.get("plot")
    if isinstance(asked, Mapping):
        plot = _asked_plot(survey, asked)
        if plot is not None:
            return plot
    return _hinted_plot(survey)


def _asked_plot(survey: Survey, asked: Mapping[str, Any]) -> Plot | None:
    y = asked.get("y")
    wanted = (y,) if isinstance(y, str) else _texts(y)
    x = asked.get("x")
    errors = asked.get("errors")
    for stream in _streams(survey):
        numbers = _numbers(stream)
        found = tuple(dict.fromkeys(key for key in wanted if key in numbers))
        if found and (x is None or (isinstance(x, str) and x in numbers)):
            bars = {key: errors.get(key) for key in found} if isinstance(errors, Mapping) else {}
            kept = {key: bar for key, bar in bars.items() if isinstance(bar, str) and bar in numbers}
            return Plot(stream.name, x, found, kept)
    return None


def _hinted_plot(survey: Survey) -> Plot | None:
    dimensions = _dimensions(survey.start)
    fields, stream_name = dimensions[0] if dimensions else ((), None)
    independent = {field for dimension, _ in dimensions for field in dimension}
    for stream in _streams(survey):
        if stream_name in (None, stream.name):
            numbers = _numbers(stream)
            y = tuple(key for key in _hinted_fields(stream) if key in numbers and key not in independent)
            if y:
                return Plot(stream.name, next((key for key in fields if key in numbers), None), y)
    return None


def _dimensions(start: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str | None]]:
    """The plan's dimensions, each (fields, stream); hints of another form are none."""
    hints = start.get("hints")
    listed = hints.get("dimensions") if isinstance(hints, Mapping) else None
    if not isinstance(listed, list | tuple):
        return []
    pairs = [entry for entry in listed if isinstance(entry, list | tuple) and len(entry) == 2]
    return [(_texts(fields), stream) for fields, stream in pairs if isinstance(stream, str)]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def _streams(survey: Survey) -> list[Stream]:
    """Streams with rows, `primary` first."""
    filled = [stream for stream in survey.streams.values() if stream.last_of_seq_num]
    return sorted(filled, key=lambda stream: stream.name != "primary")


def _numbers(stream: Stream) -> frozenset[str]:
    rows = len(stream.last_of_seq_num)
    types = {key: column.type(rows) for key, column in stream.columns.items()}
    plain = {key: kind for key, kind in types.items() if storable(key) == key}
    return frozenset(key for key, kind in plain.items() if not kind.shape and kind.dtype.kind in "biuf")


def _hinted_fields(stream: Stream) -> list[str]:
    hints = [hint for descriptor in stream.descriptors for hint in (descriptor.get("hints") or {}).values()]
    return list(dict.fromkeys(key for hint in hints for key in _texts(hint.get("fields"))))
