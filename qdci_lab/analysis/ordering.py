"""Tags in order of time, whatever the detectors' delays and a stated disorder of the stream."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

TagBlock = tuple[NDArray[np.int64], NDArray[np.uint8]]

PORTION = 1 << 15
"""Tags taken at a time: their times fill a quarter of a mebibyte, which stays in the processor's cache."""

SHARE = 1 << 17
"""Tags that one of two threads takes at a time: enough that handing them over does not matter."""

EARLIEST_PS = -(2**62)
"""Times are meant to lie within 2^62 ps (53 days) of zero, so that differences cannot overflow."""

NO_DELAYS: Mapping[int, int] = MappingProxyType({})
NO_TAGS: TagBlock = (np.empty(0, np.int64), np.empty(0, np.uint8))
_MOVES_PER_TAG = 16


class TagOrder:
    """Sorts a stream cut into blocks of any size; its working memory does not grow with the blocks.

    A tag may be earlier than the latest one before it by up to `disorder_ps`; what comes later than that is
    left out and counted in `late`. `delays_ps` of inputs are subtracted, the order is that after subtraction.
    Tags of equal times keep the order in which they came.
    """

    def __init__(
        self, *, delays_ps: Mapping[int, int] = NO_DELAYS, disorder_ps: int = 0, portion: int = PORTION
    ) -> None:
        from qdci_lab.analysis import ordering_kernel

        if disorder_ps < 0:
            raise ValueError(f"disorder of {disorder_ps} ps must not be negative")
        self._kernel = ordering_kernel
        self._disorder_ps = disorder_ps
        self._portion = portion
        self._delay_of = np.zeros(256, dtype=np.int64)
        for number, delay_ps in delays_ps.items():
            self._delay_of[check_input(number)] = delay_ps
        self._direct = disorder_ps == 0 and not self._delay_of.any()
        self._holdback_ps = disorder_ps + int(self._delay_of.max())
        self._latest_ps = EARLIEST_PS
        self._held = NO_TAGS
        self.late = 0

    def put(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> Iterator[TagBlock]:
        """Take the next tags, and yield in order those that nothing can precede any more.

        The blocks yielded, of some `portion` tags, may be views of what was given. ValueError before anything is
        taken unless times and channels are equally many.
        """
        times, inputs = check_columns(times_ps, channels)
        return self._portions(times, inputs)

    def held(self) -> TagBlock:
        """The tags that wait for others to precede them, in order; they stay."""
        return self._held

    def _portions(self, times: NDArray[np.int64], inputs: NDArray[np.uint8]) -> Iterator[TagBlock]:
        for start in range(0, times.size, self._portion):
            portion = times[start : start + self._portion], inputs[start : start + self._portion]
            if self._direct and self._kernel.in_order(portion[0], self._latest_ps):
                self._latest_ps = int(portion[0][-1])
                yield portion
            else:
                yield self._sorted(*portion)

    def _sorted(self, times: NDArray[np.int64], inputs: NDArray[np.uint8]) -> TagBlock:
        waiting = self._held[0].size
        all_times = np.empty(waiting + times.size, np.int64)
        all_inputs = np.empty(waiting + times.size, np.uint8)
        all_times[:waiting], all_inputs[:waiting] = self._held
        kept, latest_ps = self._kernel.accept(
            times, inputs, self._delay_of, self._disorder_ps, self._latest_ps, all_times, all_inputs, waiting
        )
        self.late += waiting + times.size - int(kept)
        self._latest_ps = int(latest_ps)
        all_times, all_inputs = all_times[:kept], all_inputs[:kept]
        if not self._kernel.sort_nearly_sorted(all_times, all_inputs, _MOVES_PER_TAG * int(kept) + PORTION):
            order = np.argsort(all_times, kind="stable")
            all_times, all_inputs = all_times[order], all_inputs[order]
        ready = int(np.searchsorted(all_times, self._latest_ps - self._holdback_ps, side="right"))
        self._held = all_times[ready:].copy(), all_inputs[ready:].copy()
        return all_times[:ready], all_inputs[:ready]


def check_columns(times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> TagBlock:
    """The two columns of a block, contiguous int64 and uint8; ValueError unless equally many."""
    times = np.ascontiguousarray(times_ps, dtype=np.int64)
    inputs = np.ascontiguousarray(channels, dtype=np.uint8)
    if times.shape != inputs.shape or times.ndim != 1:
        raise ValueError(f"times of shape {times.shape} do not go with channels of shape {inputs.shape}")
    return times, inputs


def check_input(number: int) -> int:
    """The number of a tagger's input; ValueError unless it fits the channel column."""
    if not 0 <= number <= 255:
        raise ValueError(f"tagger input {number} must lie within 0..255")
    return number
