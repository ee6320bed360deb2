"""The times that a tagger writes: clicks in lab time, seen by the clock that the tagger follows.

Pulses are drawn as if the transmitter's clock were lab time. If that clock is ahead by a(t), a pulse meant for the time
s leaves at t = s - a(t); a tagger whose clock is ahead by b(t) writes t + b(t).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim_devices.twin.clock_signal import LAB_TIME, ClockSignal, TimeBase
from sim_devices.twin.components.detection import TimeTagger
from sim_devices.twin.components.sources import WaveformSource
from sim_devices.twin.graph import Graph
from sim_devices.twin.layout import PortAddress

INVERSIONS = 3
"""Steps to t from s; each leaves a thousandth of the error of the one before, or less."""


@dataclass(frozen=True, eq=False)
class FollowedClock:
    """What a tagger goes by: a time base, and the jitter of its edges."""

    time_base: TimeBase
    jitter_ps: float = 0.0


@dataclass
class TaggedTime:
    """Turns the times of clicks into tags, in order of time; goes on without a step where the clock changes."""

    transmitter: TimeBase = LAB_TIME
    _clock: TimeBase | None = None
    _shift_ps: float = 0.0

    def tags_ps(
        self, times_ps: NDArray[np.int64], spans: Sequence[tuple[int, FollowedClock]]
    ) -> NDArray[np.int64]:
        """Tags of sorted clicks, shape (n,). `spans` are the spans' beginnings and the clock followed in each."""
        cuts = np.searchsorted(times_ps, [begin_ps for begin_ps, _ in spans[1:]])
        parts = [
            self._tagged(part, begin_ps, followed.time_base)
            for part, (begin_ps, followed) in zip(np.split(times_ps, cuts), spans, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _tagged(self, times_ps: NDArray[np.int64], begin_ps: int, clock: TimeBase) -> NDArray[np.int64]:
        before, self._clock = self._clock, clock
        if before is not None and clock is not before:
            self._shift_ps += float(before.deviation_ps([begin_ps])[0] - clock.deviation_ps([begin_ps])[0])
        if clock is LAB_TIME and self.transmitter is LAB_TIME and self._shift_ps == 0.0:
            return times_ps
        meant_ps = times_ps.astype(np.float64)
        ahead_ps = self.transmitter.deviation_ps(meant_ps)
        for _ in range(INVERSIONS - 1):
            ahead_ps = self.transmitter.deviation_ps(meant_ps - ahead_ps)
        moved_ps = clock.deviation_ps(meant_ps - ahead_ps) - ahead_ps + self._shift_ps
        return times_ps + np.floor(moved_ps + 0.5).astype(np.int64)


def followed_clock(graph: Graph, tagger: str, time_ps: int) -> FollowedClock:
    """What a tagger goes by at an instant."""
    node = graph.nodes[tagger]
    own = node.component
    assert isinstance(own, TimeTagger)
    arriving = graph.arriving(PortAddress(tagger, "clock"), time_ps)
    if isinstance(arriving, ClockSignal) and node.settings(time_ps).flag("external_clock"):
        return FollowedClock(arriving.time_base, arriving.jitter_ps)
    return FollowedClock(own.oscillator)


def transmitter_time(graph: Graph, tagger: str) -> TimeBase:
    """Time base of the generators upstream of a tagger; lab time where they have no reference.

    Raises ValueError if they follow different ones: whose pulse a click is, is not known then.
    """
    found: dict[int, TimeBase] = {}
    for name in sorted(graph.upstream(tagger)):
        if isinstance(graph.nodes[name].component, WaveformSource):
            reference = graph.arriving(PortAddress(name, "reference"), 0)
            base = reference.time_base if isinstance(reference, ClockSignal) else LAB_TIME
            found[id(base)] = base
    if len(found) > 1:
        raise ValueError(f"{tagger}: the waveform sources upstream must all have the same reference")
    return next(iter(found.values()), LAB_TIME)
