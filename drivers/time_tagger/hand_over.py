"""Blocks of tags between the one who empties a device's buffer and those who work on them beside it.

The number of blocks is bounded: where the work is slower than the device, the reader finds none free, and decides.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

Take = Callable[[NDArray[np.int64], NDArray[np.uint8]], object]


class Block:
    """Room for the tags of one reading: times in ps, and inputs."""

    def __init__(self, tags: int) -> None:
        self.times = np.empty(tags, np.int64)
        self.channels = np.empty(tags, np.uint8)


class HandOver:
    """Gives each block to all `takers`, each of which works in a thread of its own on one block after the other.

    When a taker fails, nobody is given anything more, and `check` raises its error. Leaving the `with` statement waits
    for the work on what was given. One reader calls the methods.
    """

    def __init__(self, blocks: Sequence[Block], takers: Sequence[Take]) -> None:
        self._free = list(blocks)
        self._under_way = 0
        self._changed = threading.Condition()
        self._failed: Future[object] | None = None
        self._takers = [(taker, ThreadPoolExecutor(1, thread_name_prefix="tags")) for taker in takers]

    def free_block(self) -> Block | None:
        """A block to fill, if one is free; it belongs to the caller until it is given."""
        with self._changed:
            return self._free.pop() if self._free else None

    def put_back(self, block: Block) -> None:
        """Have a block freed that is not given."""
        with self._changed:
            self._free.append(block)

    def give(self, block: Block, count: int) -> None:
        """Have the first `count` tags of a block taken by all."""
        with self._changed:
            self._under_way += 1
        missing = [len(self._takers)]
        for taker, thread in self._takers:
            work = thread.submit(self._take, taker, block.times[:count], block.channels[:count])
            work.add_done_callback(lambda done: self._note(done, block, missing))

    def wait_for_block(self, timeout_s: float) -> bool:
        """Whether a block is free, at last after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._free), timeout_s)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Whether all work is done, at last after `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._under_way == 0, timeout_s)

    def check(self) -> None:
        """Raise the error of a taker that failed."""
        if self._failed is not None:
            self._failed.result()

    def close(self) -> None:
        """Wait for the work on what was given, and end the threads."""
        for _, thread in self._takers:
            thread.shutdown()

    def __enter__(self) -> "HandOver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, taker: Take, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> object:
        return taker(times, channels) if self._failed is None else None

    def _note(self, done: "Future[object]", block: Block, missing: list[int]) -> None:
        with self._changed:
            if done.exception() is not None and self._failed is None:
                self._failed = done
            missing[0] -= 1
            if missing[0] == 0:
                self._free.append(block)
                self._under_way -= 1
            self._changed.notify_all()
