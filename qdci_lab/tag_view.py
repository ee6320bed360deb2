"""A quick look at a file of time tags: how many, at what rates, with what between them, as numbers and as a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from qdci_lab.analysis import SlotClock
from qdci_lab.analysis.arrival import ArrivalHistogram, Arrivals
from qdci_lab.analysis.channel_counts import count_channels
from qdci_lab.analysis.correlation import Correlation, CrossCorrelator, StartStop, StartStopHistogram
from qdci_lab.analysis.rates import RateHistory, Rates
from qdci_lab.errors import RecordError
from qdci_lab.tag_source import TagSource
from qdci_lab.units import PS_PER_S, ps_to_seconds

INTERVALS = 200
BINS = 200
MOST_CHANNELS = 8
SIZE_IN = (8.0, 9.0)
DOTS_PER_INCH = 120


@dataclass(frozen=True)
class Look:
    """What to look at; what is None is chosen by the tags.

    `pair` are the channels to correlate (the two busiest), `bin_ps` and `reach_ps` belong to the correlation (the mean
    time between tags of the busier one, in 100 bins). With `period_ps` the arrival in the period is shown in place of
    the times between tags.
    """

    pair: tuple[int, int] | None = None
    bin_ps: int | None = None
    reach_ps: int | None = None
    period_ps: float | None = None


@dataclass(frozen=True, eq=False)
class TagCensus:
    """Tags of each channel, the earliest and the latest, and by how much they are out of order at most."""

    counts: NDArray[np.int64]
    first_ps: int
    last_ps: int
    disorder_ps: int

    @property
    def span_ps(self) -> int:
        """Between the earliest tag and the latest, at least 1."""
        return max(self.last_ps - self.first_ps, 1)

    @property
    def duration_s(self) -> float:
        """Between the earliest tag and the latest."""
        return ps_to_seconds(self.last_ps - self.first_ps)

    @property
    def channels(self) -> tuple[int, ...]:
        """Those with tags."""
        return tuple(np.flatnonzero(self.counts).tolist())

    def busiest(self, most: int) -> tuple[int, ...]:
        """Channels with the most tags, in order of their numbers."""
        order = np.argsort(-self.counts, kind="stable")[:most]
        return tuple(sorted(int(channel) for channel in order if self.counts[channel]))


@dataclass(frozen=True, eq=False)
class TagView:
    """What was seen."""

    source: TagSource
    census: TagCensus
    rates: Rates
    intervals: dict[int, StartStop]
    arrivals: Arrivals | None
    correlation: Correlation
    pair: tuple[int, int]


def look_at(source: TagSource, look: Look) -> TagView:
    """Read a file twice: to count, then to look; RecordError where there is nothing to see."""
    census = take_census(source)
    shown = census.busiest(MOST_CHANNELS)
    pair = look.pair or _usual_pair(census)
    for channel in pair:
        if channel not in census.channels:
            raise RecordError(f"{source.path} has no tags of channel {channel}; it has {census.channels}")
    rates = RateHistory(
        shown,
        interval_ps=census.span_ps // INTERVALS + 1,
        start_ps=census.first_ps,
        most_intervals=INTERVALS + 1,
    )
    correlator = _correlator(census, pair, look)
    between = {} if look.period_ps is not None else {channel: _between(census, channel) for channel in shown}
    arrival = None
    if look.period_ps is not None:
        arrival = ArrivalHistogram(SlotClock(census.first_ps, look.period_ps), shown, bins=BINS)
    for block in source.blocks():
        for estimator in (rates, correlator, *between.values(), *([arrival] if arrival else [])):
            estimator.add(*block)
    return TagView(
        source=source,
        census=census,
        rates=rates.finish(),
        intervals={channel: each.finish() for channel, each in between.items()},
        arrivals=arrival.finish() if arrival else None,
        correlation=correlator.finish(),
        pair=pair,
    )


def take_census(source: TagSource) -> TagCensus:
    """Read a file once; RecordError if it has no tags."""
    counts = np.zeros(256, np.int64)
    first_ps, last_ps = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    disorder_ps = 0
    for times, channels in source.blocks():
        if not times.size:
            continue
        counts += count_channels(channels)
        latest = np.maximum.accumulate(times)
        np.maximum(latest, last_ps, out=latest)
        disorder_ps = max(disorder_ps, int((latest - times).max()))
        first_ps, last_ps = min(first_ps, int(times.min())), int(latest[-1])
    if not counts.any():
        raise RecordError(f"{source.path} has no time tags")
    return TagCensus(counts, first_ps, last_ps, disorder_ps)


def show(view: TagView, console: Console) -> None:
    """Counts and rates in the terminal, and what was wrong with the file."""
    census = view.census
    console.print(f"{view.source.path}: {view.source.kind}", view.source.facts, markup=False, soft_wrap=True)
    table = Table("channel", "tags", "rate in 1/s")
    for column in table.columns[1:]:
        column.justify = "right"
    for channel in census.channels:
        count = int(census.counts[channel])
        rate = f"{count / census.duration_s:,.1f}" if census.duration_s else "-"
        table.add_row(str(channel), f"{count:,}", rate)
    console.print(table)
    console.print(
        f"{census.counts.sum():,} tags in {census.duration_s:.6g} s, out of order by {census.disorder_ps} ps at most"
    )
    for complaint in view.source.complaints():
        console.print(f"[yellow]{complaint}[/yellow]")


def draw(view: TagView, path: Path) -> None:
    """Rates over time, times between tags or arrival in the period, and correlation, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_IN, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    above, middle, below = figure.subplots(3, 1)
    _draw_rates(above, view)
    if view.arrivals is None:
        _draw_intervals(middle, view)
    else:
        _draw_arrivals(middle, view.arrivals)
    _draw_correlation(below, view)
    figure.suptitle(f"{view.source.path.name}: {view.census.counts.sum():,} tags", fontsize=12)
    figure.supxlabel(f"{view.source.kind} {view.source.facts}"[:120], fontsize=7, ha="center")
    figure.savefig(path, metadata={"Software": None, "Creation Time": None})


def _correlator(census: TagCensus, pair: tuple[int, int], look: Look) -> CrossCorrelator:
    reach_ps = look.reach_ps or max(census.span_ps // int(census.counts[list(pair)].max()), BINS)
    reach_ps = min(reach_ps, 2**49)
    bin_ps = look.bin_ps or max(reach_ps // (BINS // 2), 1)
    each_side = max(reach_ps // bin_ps, 1)
    return CrossCorrelator(*pair, bin_ps=bin_ps, bins_each_side=each_side, disorder_ps=census.disorder_ps)


def _between(census: TagCensus, channel: int) -> StartStopHistogram:
    """Times from tag to tag of one channel, up to five times the mean of the busiest."""
    reach_ps = min(5 * census.span_ps // int(census.counts.max()), 2**49)
    return StartStopHistogram(
        channel, channel, bin_ps=max(reach_ps // BINS, 1), bins=BINS, disorder_ps=census.disorder_ps
    )


def _usual_pair(census: TagCensus) -> tuple[int, int]:
    busiest: Sequence[int] = census.busiest(2)
    return busiest[0], busiest[-1]


def _draw_rates(axes: Any, view: TagView) -> None:
    rates = view.rates
    # The last interval is as a rule cut short by the end of the tags.
    shown = slice(0, max(rates.counts.shape[0] - 1, 1))
    seconds = (np.arange(rates.counts.shape[0]) + 0.5) * rates.interval_ps / PS_PER_S
    for column, channel in enumerate(rates.channels):
        axes.plot(
            seconds[shown], rates.rates_hz[shown, column], drawstyle="steps-mid", label=f"channel {channel}"
        )
    axes.set(xlabel="time from the first tag in s", ylabel="rate in 1/s", ylim=(0.0, None))
    axes.legend(fontsize=8, ncols=4)
    axes.grid(alpha=0.3)


def _draw_intervals(axes: Any, view: TagView) -> None:
    for channel, found in view.intervals.items():
        centres, unit = _in_unit(found.bin_ps * (np.arange(found.counts.size, dtype=np.float64) + 0.5))
        axes.plot(centres, found.counts, drawstyle="steps-mid", label=f"channel {channel}")
        axes.set_xlabel(f"time to the next tag of the channel in {unit}")
    axes.set(ylabel="tags", ylim=(0.0, None))
    axes.grid(alpha=0.3)


def _draw_arrivals(axes: Any, arrivals: Arrivals) -> None:
    centres, unit = _in_unit(arrivals.centres_ps)
    for row, channel in enumerate(arrivals.channels):
        axes.plot(centres, arrivals.counts[row], drawstyle="steps-mid", label=f"channel {channel}")
    axes.set(xlabel=f"arrival in the period in {unit}", ylabel="tags", ylim=(0.0, None))
    axes.grid(alpha=0.3)


def _draw_correlation(axes: Any, view: TagView) -> None:
    g2, error = view.correlation.g2()
    lags, unit = _in_unit(view.correlation.lags_ps.astype(np.float64))
    axes.errorbar(lags, g2, error, fmt=".", markersize=3, elinewidth=0.7)
    axes.axhline(1.0, color="grey", linewidth=0.7)
    first, second = view.pair
    axes.set(xlabel=f"channel {second} after channel {first} in {unit}", ylabel="g²", ylim=(0.0, None))
    axes.grid(alpha=0.3)


def _in_unit(times_ps: NDArray[np.float64]) -> tuple[NDArray[np.float64], str]:
    """Times in the unit in which they are at most some thousands."""
    largest_ps = float(np.abs(times_ps).max(initial=0.0))
    for size_ps, unit in ((1.0, "ps"), (1e3, "ns"), (1e6, "µs"), (1e9, "ms")):
        if largest_ps < 3e3 * size_ps:
            return times_ps / size_ps, unit
    return times_ps / PS_PER_S, "s"
