"""Reading time tags: pulls the spans it is asked for through the graph, and draws the clicks of each."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import floor, hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import PS_PER_S
from sim_devices.twin import sampling
from sim_devices.twin.components.detection import TimeTagger
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.graph import Graph
from sim_devices.twin.lab_time import LabTime
from sim_devices.twin.layout import PortAddress
from sim_devices.twin.tagged_time import FollowedClock, TaggedTime, followed_clock, transmitter_time
from sim_devices.twin.truth import TruthLog

Tags = tuple[NDArray[np.int64], NDArray[np.uint8]]


@dataclass(frozen=True)
class _Laws:
    """A piece's beginning and end, the law of clicks at each input in it, and the clock that is followed."""

    start_ps: int
    end_ps: int
    processes: list[ClickProcess | None]
    clock: FollowedClock

    def expected_tags(self, from_ps: int) -> float:
        """Mean number of tags from a time in the piece to its end."""
        return _click_hz(self.processes) * (self.end_ps - from_ps) / PS_PER_S


_Chunk = tuple[list[_Laws], Sequence[Callable[[], Tags]]]
NO_TAGS: Tags = (np.empty(0, np.int64), np.empty(0, np.uint8))
CHUNK_TAGS = 500_000
CHUNK_PS = 100 * PS_PER_S
FEW_TAGS = 10_000
"""These are drawn sooner than other threads would begin with it."""
IDLE_SLOT_PS = 1_000_000
"""Slot length where there are no pulses; any will do."""
ORIGIN_SHIFT = 4
CHANNEL_MASK = 15
_WORKERS = tuple(ThreadPoolExecutor(max_workers=1, thread_name_prefix="clicks") for _ in range(2))


@dataclass(frozen=True, eq=False)
class _Piece:
    """A span in which one law of clicks holds; it begins where the law changes, never where a reader stops."""

    start_ps: int
    process: ClickProcess
    table: sampling.HazardTable
    anchor: sampling.Anchor
    gates: sampling.GateTimes

    def hazard_at(self, time_ps: int) -> float:
        """Cumulative hazard from the anchor to `time_ps`."""
        return sampling.hazard_at(self.table, self.anchor, time_ps)


def _piece(start_ps: int, process: ClickProcess, before: _Piece | None) -> _Piece:
    """The piece that begins at `start_ps`; the table of the piece before is used again if it is the same."""
    same = before is not None and before.process is process
    table = before.table if same and before is not None else _hazard_table(process)
    train, gates = process.train, _gate_times(process, start_ps)
    if train is None:
        return _Piece(start_ps, process, table, sampling.Anchor(start_ps, 0.0), gates)
    origin_ps = train.origin_ps + Fraction(train.delay_ps) - train.slot_ps / 2
    return _Piece(start_ps, process, table, _anchor(origin_ps, train.frame_ps, start_ps), gates)


def _anchor(origin_ps: Fraction, period_ps: Fraction, start_ps: int) -> sampling.Anchor:
    """The last of a train of instants that is not after `start_ps`."""
    begin_ps = origin_ps + (start_ps - origin_ps) // period_ps * period_ps
    whole_ps = floor(begin_ps)
    return sampling.Anchor(whole_ps, float(begin_ps - whole_ps))


def _gate_times(process: ClickProcess, start_ps: int) -> sampling.GateTimes:
    gates, train = process.gates, process.train
    if gates is None:
        return sampling.FREE_RUNNING
    return sampling.GateTimes(
        float(gates.period_ps),
        gates.width_ps,
        gates.edge_ps,
        train.duration_ps if train is not None else 0.0,
        _anchor(gates.origin_ps, gates.period_ps, start_ps),
    )


def _hazard_table(process: ClickProcess) -> sampling.HazardTable:
    train = process.train
    slots = train.slots if train is not None else np.zeros(1, np.uint16)
    slot_ps = float(train.slot_ps) if train is not None else float(IDLE_SLOT_PS)
    steady_hz = process.noise_hz + process.dark_hz
    steady = steady_hz * slot_ps / PS_PER_S
    hazards = process.pulse_hazards if train is not None else np.zeros(1)
    cumulative, guess = sampling.cumulate(slots, hazards, steady)
    dark = process.dark_hz / steady_hz if steady_hz > 0.0 else 0.0
    raman = dark + (1.0 - dark) * process.noise_shares.raman
    crosstalk = raman + (1.0 - dark) * process.noise_shares.crosstalk
    inverse = 1.0 / cumulative[-1] if cumulative[-1] > 0.0 else 0.0
    return sampling.HazardTable(cumulative, guess, steady, dark, raman, crosstalk, slot_ps, inverse)


def _law(process: ClickProcess) -> sampling.ClickLaw:
    return sampling.ClickLaw(
        process.dead_ps,
        process.afterpulse_probability,
        process.afterpulse_ps,
        process.jitter_ps,
        process.latency_ps,
    )


class _Channel:
    """One input of the tagger with the detector behind it, from one start on."""

    def __init__(self, number: int, tagger: TimeTagger, start_ps: int) -> None:
        self._number = number
        self._code = np.uint8(number + 1)
        self._own = tagger.parameters
        self._delay_ps = self._own.channel_delays_ps[number]
        self._start_ps = start_ps
        self._generator = tagger.stream.child(str(number + 1), str(start_ps)).generator()
        self._clicks: np.random.Generator | None = None
        self._state = sampling.fresh_state(start_ps)
        self._piece: _Piece | None = None
        self._last_ps = -sampling.FAR_PS
        self._held = NO_TAGS

    def read(self, pieces: Sequence[_Laws], until_ps: int) -> Tags:
        """Tags before `until_ps`, from the clicks of `pieces`, the last of which may go on beyond `until_ps`.

        Codes hold the channel in their lower and the origin in their upper four bits.
        """
        drawn = [self._held]
        for laws in pieces:
            process = laws.processes[self._number]
            if process is None:
                self._piece = None
                continue
            piece = self._entered(laws.start_ps, process)
            jitter_ps = hypot(self._own.jitter_ps, laws.clock.jitter_ps)
            clicks = self._drawn(piece, min(laws.end_ps, until_ps))
            drawn.extend(self._tagged(times_ps, origins, jitter_ps) for times_ps, origins in clicks)
        times_ps, codes = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        due = int(np.searchsorted(times_ps, until_ps))
        self._held = times_ps[due:].copy(), codes[due:].copy()
        return times_ps[:due], codes[:due]

    def _entered(self, start_ps: int, process: ClickProcess) -> _Piece:
        """The piece that begins at `start_ps`, the distance to the next candidate carried over from the last one."""
        left = self._piece
        if left is not None and left.start_ps == start_ps:
            return left
        piece = self._piece = _piece(start_ps, process, left)
        if left is None:
            self._state = sampling.fresh_state(max(start_ps, self._start_ps))
        elif self._state.marks[sampling.REDRAW_FROM] < 0:
            rest = self._state.ahead[0] - left.hazard_at(start_ps)
            self._state.ahead[0] = piece.hazard_at(start_ps) + max(0.0, rest)
        if self._clicks is None:
            self._clicks = process.stream.child(str(self._start_ps)).generator()
        return piece

    def _drawn(self, piece: _Piece, limit_ps: int) -> Iterator[Tags]:
        process = piece.process
        expected = process.click_hz * (limit_ps - piece.start_ps) / PS_PER_S
        size = int(1.02 * expected + 6.0 * sqrt(expected)) + 64
        while True:
            times_ps, origins = np.empty(size, np.int64), np.empty(size, np.uint8)
            count = sampling.draw_clicks(
                piece.table,
                piece.anchor,
                _law(process),
                piece.gates,
                self._state,
                self._clicks,
                limit_ps,
                times_ps,
                origins,
            )
            yield times_ps[:count], origins[:count]
            if count < size:
                return

    def _tagged(self, times_ps: NDArray[np.int64], origins: NDArray[np.uint8], jitter_ps: float) -> Tags:
        count, self._last_ps = sampling.tag_clicks(
            times_ps,
            origins,
            self._delay_ps,
            jitter_ps,
            round(self._own.dead_time_ns * 1e3),
            self._last_ps,
            self._generator,
        )
        return times_ps[:count], np.bitwise_or(origins[:count] << ORIGIN_SHIFT, self._code, dtype=np.uint8)


class TagReader:
    """The time tagger as its instrument reads it; thread-safe.

    What is read depends on the seed, the settings' history and the start, not on how the time is divided into reads.
    """

    def __init__(
        self, name: str, tagger: TimeTagger, graph: Graph, lab_time: LabTime, lock: threading.RLock
    ) -> None:
        self._name = name
        self._tagger = tagger
        self._graph = graph
        self._lab_time = lab_time
        self._lock = lock
        self._reading = threading.RLock()
        self._position_ps = 0
        self._channels: list[_Channel] = []
        self._found: tuple[int, _Laws] | None = None
        self._transmitter = transmitter_time(graph, name)
        self._time = TaggedTime(self._transmitter)
        self.truth: TruthLog | None = None
        """Where the origins of what is read go, if anywhere."""
        self.start(0)

    @property
    def position_ps(self) -> int:
        """Lab time up to which tags have been read or discarded."""
        return self._position_ps

    def start(self, at_ps: int) -> None:
        """Discard everything before `at_ps`, and draw what follows as if the detectors had rested until then.

        Raises ValueError for a time before that of the last read.
        """
        with self._reading:
            if at_ps < self._position_ps:
                raise ValueError(
                    f"{self._name}: cannot start at {at_ps} ps, tags are read until {self._position_ps} ps"
                )
            self._position_ps = int(at_ps)
            self._time = TaggedTime(self._transmitter)
            numbers = range(len(self._tagger.numbers))
            self._channels = [_Channel(number, self._tagger, self._position_ps) for number in numbers]

    def read(self, until_ps: int) -> Tags:
        """All tags in [last read, until_ps), sorted: times in ps, shape (n,), and channels (1 to 4), shape (n,).

        Raises ValueError if lab time has not come to `until_ps`.
        """
        times_ps, codes = self._read(until_ps)
        origins = None if self.truth is None else np.right_shift(codes, ORIGIN_SHIFT, dtype=np.uint8)
        codes &= CHANNEL_MASK
        if self.truth is not None and origins is not None:
            self.truth.append(times_ps, codes, origins)
        return times_ps, codes

    def read_with_origin(
        self, until_ps: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint8]]:
        """As `read`, and the origin of each click: `sampling.SIGNAL`, `DARK_COUNT`, ..."""
        times_ps, codes = self._read(until_ps)
        origins = np.right_shift(codes, ORIGIN_SHIFT, dtype=np.uint8)
        return times_ps, np.bitwise_and(codes, CHANNEL_MASK, dtype=np.uint8), origins

    def _read(self, until_ps: int) -> Tags:
        if until_ps > self._lab_time.now_ps():
            raise ValueError(f"{self._name}: tags until {until_ps} ps are asked for at {self._lab_time!r}")
        with self._reading:
            expected = self._expected_tags(until_ps)
            collected = _Collected(int(1.01 * expected) + 1000)
            under_way: deque[_Chunk] = deque()
            while self._position_ps < until_ps or under_way:
                if self._position_ps < until_ps and len(under_way) < len(_WORKERS):
                    under_way.append(self._next_chunk(until_ps, beside=expected > FEW_TAGS))
                else:
                    pieces, runs = under_way.popleft()
                    times_ps = collected.add([run() for run in runs])
                    times_ps[:] = self._time.tags_ps(
                        times_ps, [(laws.start_ps, laws.clock) for laws in pieces]
                    )
        return collected.tags()

    def _expected_tags(self, until_ps: int) -> float:
        """Number of tags in the span if everything stays as it is at its beginning."""
        with self._lock:
            processes = self._laws_from(self._position_ps).processes
        return _click_hz(processes) * max(0, until_ps - self._position_ps) / PS_PER_S

    def _next_chunk(self, until_ps: int, *, beside: bool) -> _Chunk:
        """Let every channel be read on, for no more than memory should hold at once, if need be in threads `beside`.

        Detectors are independent given the light; every second one has the same worker, which keeps the order. Where
        detectors of one basis are next to each other and one basis is rare, both workers have as much to do.
        """
        with self._lock:
            pieces = [self._laws_from(self._position_ps)]
            first = pieces[0]
            span_ps = min(CHUNK_PS, int(CHUNK_TAGS / max(1.0, _click_hz(first.processes)) * PS_PER_S) + 1)
            if not any(
                first.processes
            ):  # no input can click before the piece is over: nothing has to be held
                span_ps = first.end_ps - self._position_ps
            until_ps = min(until_ps, self._position_ps + span_ps)
            expected = first.expected_tags(self._position_ps)
            while pieces[-1].end_ps < until_ps:
                if expected > FEW_TAGS:  # the laws that follow are found while these tags are being drawn
                    until_ps = pieces[-1].end_ps
                    break
                pieces.append(self._laws_from(pieces[-1].end_ps))
                expected += pieces[-1].expected_tags(pieces[-1].start_ps)
        self._position_ps = until_ps
        shares = [self._channels[first :: len(_WORKERS)] for first in range(len(_WORKERS))]
        reads = [partial(_read_share, share, pieces, until_ps) for share in shares if share]
        if beside:
            reads = [worker.submit(read).result for worker, read in zip(_WORKERS, reads, strict=False)]
        return pieces, reads

    def _laws_from(self, at_ps: int) -> _Laws:
        """The piece round `at_ps`, as found before if nothing has been set since."""
        if self._found is not None:
            changes, laws = self._found
            if changes == self._graph.changes and laws.start_ps <= at_ps < laws.end_ps:
                return laws
        laws = self._find_laws(at_ps)
        self._found = self._graph.changes, laws
        return laws

    def _find_laws(self, at_ps: int) -> _Laws:
        """The piece round `at_ps` and the law of clicks at every input in it."""
        own = self._graph.nodes[self._name]
        numbers = self._tagger.numbers
        clock = followed_clock(self._graph, self._name, at_ps)
        if not own.settings(at_ps).flag("input_on"):  # whatever happens to the light meanwhile
            start_ps, end = own.span(at_ps)
            return _Laws(start_ps, sampling.FAR_PS if end is None else end, [None] * len(numbers), clock)
        start_ps, end_ps = self._graph.span(self._name, at_ps)
        signals = [self._graph.arriving(PortAddress(self._name, port), at_ps) for port in numbers]
        processes = [signal if isinstance(signal, ClickProcess) else None for signal in signals]
        return _Laws(start_ps, end_ps, processes, clock)


class _Collected:
    """Tags that grow chunk by chunk in place, so that a long read is not held twice."""

    def __init__(self, size: int) -> None:
        self._count = 0
        self._times_ps = np.empty(size, np.int64)
        self._codes = np.empty(size, np.uint8)

    def add(self, runs: list[Tags]) -> NDArray[np.int64]:
        """Append the merged runs (one or two), all later than what is there; returns their times, to be changed."""
        size = sum(len(times_ps) for times_ps, _ in runs)
        if self._count + size > len(self._times_ps):
            spare = size + len(self._times_ps) // 2
            self._times_ps = np.concatenate((self._times_ps[: self._count], np.empty(spare, np.int64)))
            self._codes = np.concatenate((self._codes[: self._count], np.empty(spare, np.uint8)))
        place = slice(self._count, self._count + size)
        second = runs[1] if len(runs) > 1 else NO_TAGS
        sampling.merge_two(*runs[0], *second, self._times_ps[place], self._codes[place])
        self._count += size
        return self._times_ps[place]

    def tags(self) -> Tags:
        """All that was added."""
        return self._times_ps[: self._count], self._codes[: self._count]


def _read_share(channels: list[_Channel], pieces: Sequence[_Laws], until_ps: int) -> Tags:
    runs = [channel.read(pieces, until_ps) for channel in channels]
    if len(runs) == 1:
        return runs[0]
    size = sum(len(times_ps) for times_ps, _ in runs)
    merged = np.empty(size, np.int64), np.empty(size, np.uint8)
    sampling.merge_two(*runs[0], *runs[1], *merged)
    return merged


def _click_hz(laws: Sequence[ClickProcess | None]) -> float:
    return sum(law.click_hz for law in laws if law is not None)
