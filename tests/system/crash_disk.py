"""A disk that can be filled and cut off: every change that the recorder makes is logged, and replayed with losses."""

import errno
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

SECTOR = 512
PIECE = 4096
LOGGED = (".journal", ".tags")


@dataclass(frozen=True)
class Change:
    """One change of the disk: `create`, `write`, `truncate`, `sync`, `rename`, `remove` or `sync_names`."""

    kind: str
    name: str
    offset: int = 0
    data: bytes = b""
    target: str = ""


@dataclass
class Log:
    """What the recorder did to its folder, in order, and how many documents were acknowledged before each change."""

    folder: Path
    changes: list[Change] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    documents: int = 0

    def add(self, change: Change) -> None:
        self.changes.append(change)
        self.acknowledged.append(self.documents)


@contextmanager
def logged(log: Log) -> Iterator[None]:
    """Log what is done in the folder through the system's calls; HDF5's are taken from what is synced."""
    names: dict[int, str] = {}
    real = {call: getattr(os, call) for call in ("open", "write", "fsync", "ftruncate", "replace", "unlink")}

    def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        descriptor = real["open"](path, flags, *rest, **options)
        if Path(path).parent == log.folder and flags & os.O_CREAT:
            names[descriptor] = Path(path).name
            if not names[descriptor].endswith(".partial"):
                log.add(Change("create", names[descriptor]))
        elif Path(path) == log.folder:
            names[descriptor] = ""
        else:
            names.pop(descriptor, None)
        return descriptor

    def written(descriptor: int, data: Any) -> int:
        count = real["write"](descriptor, data)
        if names.get(descriptor, "").endswith(LOGGED):
            offset = os.fstat(descriptor).st_size - count
            log.add(Change("write", names[descriptor], offset, bytes(data[:count])))
        return count

    def synced(descriptor: int) -> None:
        real["fsync"](descriptor)
        name = names.get(descriptor)
        if name == "":
            log.add(Change("sync_names", ""))
            return
        assert name is not None
        if name.endswith(".partial"):
            content = (log.folder / name).read_bytes()
            log.add(Change("create", name))
            for offset in range(0, len(content), PIECE):
                log.add(Change("write", name, offset, content[offset : offset + PIECE]))
        log.add(Change("sync", name))

    def truncated(descriptor: int, size: int) -> None:
        real["ftruncate"](descriptor, size)
        if names[descriptor].endswith(LOGGED):
            log.add(Change("truncate", names[descriptor], size))

    def replaced(source: Any, target: Any) -> None:
        real["replace"](source, target)
        log.add(Change("rename", Path(source).name, target=Path(target).name))

    def removed(path: Any, **options: Any) -> None:
        real["unlink"](path, **options)
        if Path(path).parent == log.folder:
            log.add(Change("remove", Path(path).name))

    calls = (opened, written, synced, truncated, replaced, removed)
    with ExitStack() as patches:
        for call, function in zip(real, calls, strict=True):
            patches.enter_context(mock.patch.object(os, call, function))
        yield


@dataclass
class _File:
    """The bytes that are safe, and those that a program sees."""

    safe: bytes = b""
    seen: bytes = b""
    pending: list[Change] = field(default_factory=list)


def crash(changes: list[Change], chance: random.Random, *, kept: float) -> dict[str, bytes]:
    """The folder after a loss of power behind these changes: of what was not synced, a share `kept` is there.

    Sectors of a write come and go by themselves; where one is lost before one that is there, there are zeros. Names
    that were not synced come in their order, up to any of them.
    """
    files: dict[int, _File] = {}
    now: dict[str, int] = {}
    names_changes: list[tuple[Change, int]] = []
    safe: dict[str, int] = {}
    for change in changes:
        if change.kind == "sync_names":
            safe, names_changes = dict(now), []
            continue
        if change.kind == "create":
            files[len(files)] = _File()
        inode = len(files) - 1 if change.kind == "create" else now[change.name]
        if change.kind in ("create", "rename", "remove"):
            names_changes.append((change, inode))
            _rename(now, change, inode)
        else:
            _alter(files[inode], change)
    survivors = (
        sum(chance.random() < kept for _ in names_changes)
        if 0 < kept < 1
        else round(kept) * len(names_changes)
    )
    for change, inode in names_changes[:survivors]:
        _rename(safe, change, inode)
    return {name: _after_loss(files[inode], chance, kept) for name, inode in safe.items()}


def _rename(names: dict[str, int], change: Change, inode: int) -> None:
    if change.kind == "create":
        names[change.name] = inode
    else:
        names.pop(change.name, None)
        if change.kind == "rename":
            names[change.target] = inode


def _alter(file: _File, change: Change) -> None:
    if change.kind == "sync":
        file.safe, file.pending = file.seen, []
    elif change.kind == "truncate":
        file.seen = file.seen[: change.offset]
        file.pending.append(change)
    else:
        file.seen = file.seen[: change.offset].ljust(change.offset, b"\0") + change.data
        file.pending.append(change)


def _after_loss(file: _File, chance: random.Random, kept: float) -> bytes:
    content = bytearray(file.safe)
    for change in file.pending:
        if change.kind == "truncate":
            if chance.random() < kept:
                del content[change.offset :]
            continue
        for start in range(0, len(change.data), SECTOR):
            if chance.random() < kept:
                piece = change.data[start : start + SECTOR]
                offset = change.offset + start
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(piece)] = piece
    return bytes(content)


@contextmanager
def failing(call: str, number: int, code: int, *, share: float = 0.0, for_good: bool) -> Iterator[None]:
    """The system's `call` fails at its `number`-th time, from then on `for_good`, a `share` of a write being done."""
    real, count = getattr(os, call), 0

    def function(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == number or (for_good and count > number):
            if call == "write" and share and count == number:
                return real(arguments[0], arguments[1][: max(1, int(len(arguments[1]) * share))])
            raise OSError(code, os.strerror(code))
        if count == number + 1 and share:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    with mock.patch.object(os, call, function):
        yield


FULL, BROKEN = errno.ENOSPC, errno.EIO
