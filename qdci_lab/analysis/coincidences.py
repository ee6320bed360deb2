"""Singles and coincidences of any number of channels, exact and in one pass over a stream of tags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.ordering import NO_DELAYS, TagBlock, TagOrder, check_input
from qdci_lab.units import ps_to_seconds

Pattern = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class CoincidenceCounts:
    """What was counted, and over which time.

    `singles`[c] are the tags of input c, shape [256]; `coincidences` the number of ways to choose one tag of
    each channel of a pattern that lie within `window_ps` of each other. `late` tags came more out of order
    than was allowed and are in neither. `span_ps` is from the first tag to the last.
    """

    window_ps: int
    singles: NDArray[np.int64]
    coincidences: dict[Pattern, int]
    span_ps: int
    late: int

    def accidentals(self, pattern: Pattern, span_ps: int | None = None) -> float:
        """Coincidences expected of independent Poisson streams with these singles: n T w^(n-1) prod(R).

        The window counts w + 1/2 ps to either side, because times are whole picoseconds. `span_ps` is the
        time of the acquisition where it is known, 0 s gives NaN.
        """
        seconds = ps_to_seconds(self.span_ps if span_ps is None else span_ps)
        if not seconds > 0.0:
            return float("nan")
        n, window_s = len(pattern), (self.window_ps + 0.5) * 1e-12
        rates = self.singles[list(pattern)] / seconds
        return float(n * seconds * window_s ** (n - 1) * np.prod(rates))


class CoincidenceCounter:
    """Accumulates blocks of tags of any size; the result does not depend on where the stream was cut.

    A coincidence of a pattern is a choice of one tag of each of its channels, the latest of them at most
    `window_ps` after the earliest: every choice counts, so a pair of channels gives what their full
    cross-correlation has within +-window. Tags may be out of order by up to `disorder_ps`.
    """

    def __init__(
        self,
        patterns: Iterable[Iterable[int]],
        window_ps: int,
        *,
        delays_ps: Mapping[int, int] = NO_DELAYS,
        disorder_ps: int = 0,
    ) -> None:
        from qdci_lab.analysis import coincidence_kernel

        self._kernel = coincidence_kernel
        self._patterns = tuple(tuple(pattern) for pattern in patterns)
        _check(self._patterns, window_ps)
        self._window_ps = window_ps
        self._order = TagOrder(delays_ps=delays_ps, disorder_ps=disorder_ps)
        self._plan = _plan(self._patterns)
        self._before: TagBlock = (np.empty(0, np.int64), np.empty(0, np.uint8))
        self._in_window = np.zeros(self._plan[1].size, dtype=np.int64)
        self._in_window[-1] = 1
        self._singles = np.zeros(256, dtype=np.int64)
        self._coincidences = np.zeros(len(self._patterns), dtype=np.int64)
        self._first_ps: int | None = None
        self._last_ps = 0

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Count the next tags of the stream: int64 ps and the tagger's input numbers, equally many."""
        for block in self._order.put(times_ps, channels):
            if block[0].size:
                self._before = self._count(block, self._in_window, self._singles, self._coincidences)
                self._first_ps = int(block[0][0]) if self._first_ps is None else self._first_ps
                self._last_ps = int(block[0][-1])

    def finish(self) -> CoincidenceCounts:
        """Everything up to now, tags still waiting for their order included; the stream may go on afterwards."""
        singles, coincidences = self._singles.copy(), self._coincidences.copy()
        held = self._order.held()
        first_ps, last_ps = self._first_ps, self._last_ps
        if held[0].size:
            self._count(held, self._in_window.copy(), singles, coincidences)
            first_ps, last_ps = int(held[0][0]) if first_ps is None else first_ps, int(held[0][-1])
        return CoincidenceCounts(
            window_ps=self._window_ps,
            singles=singles,
            coincidences=dict(zip(self._patterns, coincidences.tolist(), strict=True)),
            span_ps=0 if first_ps is None else last_ps - first_ps,
            late=self._order.late,
        )

    def _count(
        self,
        block: TagBlock,
        in_window: NDArray[np.int64],
        singles: NDArray[np.int64],
        coincidences: NDArray[np.int64],
    ) -> TagBlock:
        """Count tags that are in order; what of them and of those before is still in the window."""
        gone_before, gone = self._kernel.count_block(
            *block, self._window_ps, *self._plan, *self._before, in_window, singles, coincidences
        )
        times, channels = (
            np.concatenate([old[gone_before:], new[gone:]])
            for old, new in zip(self._before, block, strict=True)
        )
        return times, channels


def _check(patterns: tuple[Pattern, ...], window_ps: int) -> None:
    if window_ps < 0:
        raise ValueError(f"coincidence window of {window_ps} ps must not be negative")
    for pattern in patterns:
        if len(pattern) < 2 or len(set(pattern)) != len(pattern):
            raise ValueError(f"a coincidence takes two or more different inputs, got {pattern}")
        for number in pattern:
            check_input(number)


def _plan(
    patterns: tuple[Pattern, ...],
) -> tuple[NDArray[np.int64], ...]:
    """Place of each channel, and of each place the patterns it is in with their other places.

    The last place but one is of channels in no pattern, the last stands for no channel.
    """
    watched = sorted({number for pattern in patterns for number in pattern})
    width = max((len(pattern) - 1 for pattern in patterns), default=1)
    place_of = np.full(256, len(watched), dtype=np.int64)
    place_of[watched] = np.arange(len(watched))
    first, numbers, others = [0], [], []
    for channel in watched:
        for number, pattern in enumerate(patterns):
            if channel in pattern:
                rest = [int(place_of[c]) for c in pattern if c != channel]
                others.append(rest + [len(watched) + 1] * (width - len(rest)))
                numbers.append(number)
        first.append(len(numbers))
    first.append(len(numbers))
    return (
        place_of,
        np.array(first, dtype=np.int64),
        np.array(numbers, dtype=np.int64),
        np.array(others, dtype=np.int64).reshape(len(others), width),
    )
