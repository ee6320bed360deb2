"""The run that the crash table crashes, with the same bytes each time, and what must be left of it."""

import functools
import hashlib
import itertools
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from event_model import compose_run

from qdci_lab.errors import RecordError
from qdci_lab.record.encoding import encode
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.recovery import recover_folder
from qdci_lab.record.replay import Run, documents, open_tags, verify
from qdci_lab.record.tag_stream import TagStream

POINTS, TAGS_A_POINT = 4, 50
KEY = {"source": "s", "dtype": "number", "shape": []}


@contextmanager
def equal_names() -> Iterator[None]:
    """Every run gets the same identifiers, so that two crashes at one place leave the same bytes."""
    numbers = itertools.count(1)
    with mock.patch.object(uuid, "uuid4", functools.partial(_identifier, numbers)):
        yield


def _identifier(numbers: Iterator[int]) -> uuid.UUID:
    return uuid.UUID(int=next(numbers) << 96)


def record(folder: Path, acknowledge: Callable[[str, Any], object], *, finish: bool = True) -> None:
    """Record the run; `acknowledge(name, document)` is called when the recorder has returned."""
    with equal_names():
        recorder = Recorder(folder, reserve_bytes=0)
        for name, document in _run(TagStream("tags", folder)):
            recorder(name, document)
            acknowledge(name, document)
        if finish:
            recorder.wait()


def _run(tags: TagStream) -> Iterator[tuple[str, Any]]:
    tags.stage()
    bundle: Any = compose_run(metadata={"plan_name": "crash"}, time=1.7e9)
    yield "start", bundle.start_doc
    primary: Any = bundle.compose_descriptor("primary", {"x": KEY}, time=1.7e9)
    yield "descriptor", primary.descriptor_doc
    stream: Any = bundle.compose_descriptor("tags", tags.data_keys(), time=1.7e9)
    yield "descriptor", stream.descriptor_doc
    for point in range(POINTS):
        tags.append(*tags_of(point))
        yield "event", primary.compose_event({"x": float(point)}, {"x": 1.7e9}, time=1.7e9)
        for name, document in tags.asset_docs():
            if name == "stream_resource":
                yield name, {**document, "run_start": bundle.start_doc["uid"]}
            else:
                yield name, {**document, "descriptor": stream.descriptor_doc["uid"]}
    tags.unstage()
    yield "stop", bundle.compose_stop(time=1.7e9)


def tags_of(point: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and channels of a point."""
    first = point * TAGS_A_POINT
    times = np.arange(first, first + TAGS_A_POINT, dtype=np.int64) * 10_007
    return times, (times % 4 + 1).astype(np.uint8)


@dataclass(frozen=True)
class Found:
    """What recovery made of a folder: the documents as bytes, the tags that are there, and what it says is missing."""

    documents: tuple[bytes, ...] = ()
    tags: int = 0
    missing: str = ""
    failure: str = ""


class Judge:
    """Recovers folders and compares with the run; folders with the same bytes are recovered once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Found] = {}
        # Where nothing is compiled yet, the compiler takes identifiers for its own files from those of the first run.
        self.whole = [_documents_of_a_run() for _ in range(2)][1]
        """The documents of the whole run as bytes."""

    def verdict(self, folder: Path, acknowledged: int) -> str:
        """`kept`, `nothing promised`, or what is wrong; the folder is altered."""
        found = self._found(folder)
        if found.failure:
            return found.failure if acknowledged else "nothing promised"
        if found.documents != self.whole[: len(found.documents)]:
            return "other documents than were recorded"
        if len(found.documents) < acknowledged:
            return f"{len(found.documents)} documents of {acknowledged} acknowledged"
        if len(found.documents) < len(self.whole) and "the stop document" not in found.missing:
            return "does not say that the end is missing"
        promised = (
            sum(name_of(one) == "stream_datum" for one in self.whole[:acknowledged]) // 2 * TAGS_A_POINT
        )
        if found.tags < promised:
            return f"{found.tags} tags of {promised} acknowledged"
        return "kept"

    def _found(self, folder: Path) -> Found:
        state = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            content = path.read_bytes().replace(str(folder).encode(), b"")
            state.update(f"{path.name} {len(content)} ".encode() + content)
        if state.digest() not in self._known:
            self._known[state.digest()] = recovered(folder)
        return self._known[state.digest()]


def _documents_of_a_run() -> tuple[bytes, ...]:
    """What is acknowledged when nothing crashes; it is read back, too."""
    with tempfile.TemporaryDirectory() as folder:
        found: list[bytes] = []
        # The folder's name is in the documents that name a segment: see `_bytes_of`.
        record(Path(folder), lambda name, document: found.append(_bytes_of(name, document)))
        recovered(Path(folder))
        return tuple(found)


def recovered(folder: Path) -> Found:
    """Recover what is in a folder, as a session does when it starts, and read all of it."""
    lines = recover_folder(folder)
    files = sorted(folder.glob("*.h5"))
    if not files:
        return Found(failure="; ".join(lines) or "no journal and no file")
    try:
        verify(files[0])
        found = tuple(_bytes_of(name, document) for name, document in documents(files[0]))
        has_tags = "tags" in Run(files[0]).streams and any(name_of(one) == "stream_datum" for one in found)
        return Found(found, _right_tags(files[0]) if has_tags else 0, Run(files[0]).missing)
    except RecordError as error:
        return Found(failure=str(error))


def name_of(encoded: bytes) -> str:
    """The kind of a document from `_bytes_of`."""
    return encoded.partition(b"\0")[0].decode()


def empty(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _right_tags(file: Path) -> int:
    """How many tags there are, if all are those that were recorded; else -1."""
    blocks = list(open_tags(file))
    times = np.concatenate([np.empty(0, np.int64), *(block[0] for block in blocks)])
    return len(times) if np.array_equal(times, np.arange(len(times)) * 10_007) else -1


def _bytes_of(name: str, document: Any) -> bytes:
    """A document as bytes, without the folder that it names."""
    plain = {**document, **({"uri": Path(document["uri"]).name} if "uri" in document else {})}
    return name.encode() + b"\0" + encode(plain)
