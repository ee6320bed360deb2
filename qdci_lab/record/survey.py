"""One pass over the documents of a run that finds what there is: streams, columns, rows, tags, and what is missing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from event_model import EventPage, unpack_event_page

from qdci_lab.record.columns import Column
from qdci_lab.record.tag_stream import MIMETYPE


@dataclass(frozen=True)
class Row:
    """One event: the `ordinal`-th of its stream, made under the `descriptor`-th of the stream's descriptors."""

    stream: str
    ordinal: int
    descriptor: int
    event: Mapping[str, Any]


class RowReader:
    """Turns documents, given in order, into rows; pages of events come apart."""

    def __init__(self) -> None:
        self._descriptors: dict[str, tuple[str, int]] = {}
        self._descriptors_of: Counter[str] = Counter()
        self._events_of: Counter[str] = Counter()

    def stream_of(self, descriptor_uid: str) -> str:
        """Name of the stream that a descriptor seen before belongs to."""
        return self._descriptors[descriptor_uid][0]

    def rows(self, name: str, document: Mapping[str, Any]) -> Iterator[Row]:
        """The events in this document, if any."""
        if name == "descriptor":
            stream = document["name"]
            self._descriptors[document["uid"]] = stream, self._descriptors_of[stream]
            self._descriptors_of[stream] += 1
        elif name == "event":
            yield self._row(document)
        elif name == "event_page":
            yield from map(self._row, unpack_event_page(cast(EventPage, document)))

    def _row(self, event: Mapping[str, Any]) -> Row:
        stream, descriptor = self._descriptors[event["descriptor"]]
        ordinal = self._events_of[stream]
        self._events_of[stream] += 1
        return Row(stream, ordinal, descriptor, event)


@dataclass
class TagColumns:
    """The tags of a stream: its segments (uri, index of the first tag) and the range of indices of each point."""

    segments: dict[str, int] = field(default_factory=dict)
    ranges: list[tuple[int, int]] = field(default_factory=list)

    @property
    def stop(self) -> int:
        """Index behind the last tag that a document names."""
        return max((stop for _, stop in self.ranges), default=0)


@dataclass
class Stream:
    """A stream of a run: its descriptors (a new one for each change of configuration), columns, rows and tags."""

    name: str
    descriptors: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    last_of_seq_num: dict[int, int] = field(default_factory=dict)
    tags: TagColumns | None = None

    def kept(self) -> frozenset[int]:
        """Ordinals of the events that make the table.

        A point that was taken again after a pause has the number of the one it replaces: the last one counts.
        """
        return frozenset(self.last_of_seq_num.values())

    def external_keys(self) -> tuple[str, ...]:
        """Data keys whose values are not in the events."""
        keys = [(key, what) for item in self.descriptors for key, what in item["data_keys"].items()]
        return tuple(dict.fromkeys(key for key, what in keys if what.get("external") == "STREAM:"))

    def data_key(self, key: str) -> Mapping[str, Any]:
        """What the first descriptor that has this key says of it."""
        return next((item["data_keys"][key] for item in self.descriptors if key in item["data_keys"]), {})


class Survey:
    """What was found in the documents of one run, given in order to `include`."""

    def __init__(self) -> None:
        self.start: dict[str, Any] = {}
        self.stop: dict[str, Any] = {}
        self.documents = 0
        self.streams: dict[str, Stream] = {}
        self._rows = RowReader()
        self._tag_resources: dict[str, dict[str, Any]] = {}
        self._leading_resources: set[str] = set()

    def include(self, name: str, document: dict[str, Any]) -> None:
        """Take note of one document."""
        self.documents += 1
        for row in self._rows.rows(name, document):
            self._include_row(row)
        if name == "start":
            self.start = document
        elif name == "stop":
            self.stop = document
        elif name == "descriptor":
            self._include_descriptor(document)
        elif name == "stream_resource" and document["mimetype"] == MIMETYPE:
            self._tag_resources[document["uid"]] = document
        elif name == "stream_datum" and document["stream_resource"] in self._tag_resources:
            self._include_tags(document)

    def missing(self) -> list[str]:
        """What the documents themselves show to be absent, in words; empty for a run that was closed in order."""
        missing = [] if self.stop else ["the stop document"]
        for name, count in (self.stop.get("num_events") or {}).items():
            stream = self.streams.get(name)
            found = len(stream.last_of_seq_num) if stream else 0
            if found < count and not (stream and stream.tags):
                missing.append(f"{count - found} of {count} events of stream {name!r}")
        return missing

    def _include_descriptor(self, document: dict[str, Any]) -> None:
        stream = self.streams.setdefault(document["name"], Stream(document["name"]))
        stream.descriptors.append(document)
        for key, data_key in document["data_keys"].items():
            if data_key.get("external") != "STREAM:":
                stream.columns.setdefault(key, Column(data_key))

    def _include_row(self, row: Row) -> None:
        stream = self.streams[row.stream]
        stream.last_of_seq_num[row.event["seq_num"]] = row.ordinal
        for key, value in row.event["data"].items():
            stream.columns.setdefault(key, Column()).include(value)

    def _include_tags(self, datum: dict[str, Any]) -> None:
        """A point has two datums, for times and for channels: those of the resource seen first stand for both."""
        stream = self.streams[self._rows.stream_of(datum["descriptor"])]
        stream.tags = stream.tags or TagColumns()
        resource = self._tag_resources[datum["stream_resource"]]
        if resource["uri"] not in stream.tags.segments:
            stream.tags.segments[resource["uri"]] = resource["parameters"]["first_tag"]
            self._leading_resources.add(resource["uid"])
        if resource["uid"] in self._leading_resources:
            stream.tags.ranges.append((datum["indices"]["start"], datum["indices"]["stop"]))
