"""Singles and coincidences of any number of channels, exact and in one pass over a stream of tags."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.jobs import Run, one_after_the_other
from qdci_lab.analysis.ordering import (
    NO_DELAYS,
    NO_TAGS,
    PORTION,
    SHARE,
    TagBlock,
    TagOrder,
    check_input,
)
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
        run: Run = one_after_the_other,
    ) -> None:
        from qdci_lab.analysis import coincidence_kernel

        self._kernel = coincidence_kernel
        self._patterns = tuple(tuple(pattern) for pattern in patterns)
        _check(self._patterns, window_ps)
        self._distinct = tuple(dict.fromkeys(tuple(sorted(pattern)) for pattern in self._patterns))
        self._window_ps = window_ps
        self._run = run
        portion = PORTION if run is one_after_the_other else SHARE
        self._order = TagOrder(delays_ps=delays_ps, disorder_ps=disorder_ps, portion=portion)
        self._plan = _plan(self._distinct)
        self._before: TagBlock = NO_TAGS
        self._counts = self._no_counts()
        self._first_ps: int | None = None
        self._last_ps = 0

    def add(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> None:
        """Count the next tags of the stream: int64 ps and the tagger's input numbers, equally many."""
        blocks = (block for block in self._order.put(times_ps, channels) if block[0].size)
        if self._run is one_after_the_other:
            for block in blocks:
                self._before = self._count(block, self._before, self._counts)
                self._note_span(block)
            return
        for block in blocks:
            self._count_two(block, next(blocks, NO_TAGS))

    def finish(self) -> CoincidenceCounts:
        """Everything up to now, tags still waiting for their order included; the stream may go on afterwards."""
        counts = self._counts.copy()
        held = self._order.held()
        first_ps, last_ps = self._first_ps, self._last_ps
        if held[0].size:
            self._count(held, self._before, counts)
            first_ps, last_ps = int(held[0][0]) if first_ps is None else first_ps, int(held[0][-1])
        number_of = dict(zip(self._distinct, counts.coincidences.tolist(), strict=False))
        return CoincidenceCounts(
            window_ps=self._window_ps,
            singles=counts.singles,
            coincidences={pattern: number_of[tuple(sorted(pattern))] for pattern in self._patterns},
            span_ps=0 if first_ps is None else last_ps - first_ps,
            late=self._order.late,
        )

    def _count_two(self, block: TagBlock, following: TagBlock) -> None:
        """Count two blocks at once; what of the first is in the window of the second must not reach beyond it."""
        if not following[0].size or following[0][0] - block[0][0] <= self._window_ps:
            for part in (block, following):
                if part[0].size:
                    self._before = self._count(part, self._before, self._counts)
                    self._note_span(part)
            return
        kept = int(np.searchsorted(block[0], following[0][0] - self._window_ps))
        between = block[0][kept:], block[1][kept:]
        second = self._no_counts()
        places = self._plan.place_of[between[1]]
        np.add.at(second.in_window, places, 1)
        after: list[TagBlock] = []
        self._run(
            (
                lambda: self._count(block, self._before, self._counts),
                lambda: after.append(self._count(following, between, second)),
            )
        )
        self._before = after[0]
        self._counts = second.following(self._counts)
        self._note_span(block)
        self._note_span(following)

    def _note_span(self, block: TagBlock) -> None:
        self._first_ps = int(block[0][0]) if self._first_ps is None else self._first_ps
        self._last_ps = int(block[0][-1])

    def _count(self, block: TagBlock, before: TagBlock, counts: "_Counts") -> TagBlock:
        """Count tags that are in order; what of them and of those before is still in the window."""
        plan = self._plan
        gone_before, gone = self._kernel.count_block(
            block[0],
            block[1],
            self._window_ps,
            plan.place_of,
            plan.first_pattern,
            plan.pattern,
            plan.others,
            plan.pair_of,
            before[0],
            before[1],
            counts.in_window,
            counts.singles,
            counts.coincidences,
        )
        return (
            np.concatenate([before[0][gone_before:], block[0][gone:]]),
            np.concatenate([before[1][gone_before:], block[1][gone:]]),
        )

    def _no_counts(self) -> "_Counts":
        in_window = np.zeros(self._plan.pair_of.shape[0] + 1, dtype=np.int64)
        in_window[-1] = 1
        return _Counts(in_window, np.zeros(256, np.int64), np.zeros(len(self._distinct) + 1, np.int64))


@dataclass(frozen=True, eq=False)
class _Counts:
    """Tags of each place in the window, of each channel in all, and coincidences of each pattern, all int64."""

    in_window: NDArray[np.int64]
    singles: NDArray[np.int64]
    coincidences: NDArray[np.int64]

    def copy(self) -> "_Counts":
        return _Counts(self.in_window.copy(), self.singles.copy(), self.coincidences.copy())

    def following(self, earlier: "_Counts") -> "_Counts":
        """Both together, with the window of the later."""
        return _Counts(
            self.in_window, self.singles + earlier.singles, self.coincidences + earlier.coincidences
        )


@dataclass(frozen=True, eq=False)
class _Plan:
    """What the kernel looks up: see `coincidence_kernel.count_block`."""

    place_of: NDArray[np.int64]
    first_pattern: NDArray[np.int64]
    pattern: NDArray[np.int64]
    others: NDArray[np.int64]
    pair_of: NDArray[np.int64]


def _check(patterns: tuple[Pattern, ...], window_ps: int) -> None:
    if window_ps < 0:
        raise ValueError(f"coincidence window of {window_ps} ps must not be negative")
    for pattern in patterns:
        if len(pattern) < 2 or len(set(pattern)) != len(pattern):
            raise ValueError(f"a coincidence takes two or more different inputs, got {pattern}")
        for number in pattern:
            check_input(number)


def _plan(patterns: tuple[Pattern, ...]) -> _Plan:
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
    return _Plan(
        place_of,
        np.array(first, dtype=np.int64),
        np.array(numbers, dtype=np.int64),
        np.array(others, dtype=np.int64).reshape(len(others), width),
        _pairs(patterns, place_of, len(watched)),
    )


def _pairs(patterns: tuple[Pattern, ...], place_of: NDArray[np.int64], watched: int) -> NDArray[np.int64]:
    """The pattern of two places alone, or the number of patterns."""
    pair_of = np.full((watched + 1, watched + 1), len(patterns), dtype=np.int64)
    for number, pattern in enumerate(patterns):
        if len(pattern) == 2:
            one, other = place_of[list(pattern)]
            pair_of[one, other] = pair_of[other, one] = number
    return pair_of
