"""Arrival times of the pulses at each detector, as a device of its own beside the link that has the tagger."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from drivers.key_distribution.tag_measurement import TagMeasurement, soft_setting
from drivers.time_tagger.tags import RecordedTags
from qdci_lab.analysis.arrival_times import Arrivals, find_arrivals
from qdci_lab.analysis.bb84 import Bb84Settings, TagBlock
from qdci_lab.signals import TaskStatus, measured

MOST_CLICKS = 2e7


class ArrivalTimes(TagMeasurement):
    """`trigger` gathers `wanted_clicks` clicks of all detectors and finds each detector's delay against the earliest.

    Arrays are in the order Z0, Z1, X0, X1; `histograms` has shape (4, bins) over one pulse period.
    """

    MODEL = "arrival times"

    wanted_clicks = soft_setting("clicks_wanted", "count", (1e3, MOST_CLICKS))
    max_duration = soft_setting("longest_s", "s", (1e-3, 1e5))
    delays = measured(None, "ps")
    delay_errors = measured(None, "ps")
    widths = measured(None, "ps")
    clicks = measured(None, "count")
    histograms = measured(None, "count")
    period = measured(None, "ps", precision=6)
    rates = measured(None, "1/s")
    duration = measured(None, "s", precision=6)

    def __init__(self, *, name: str, tagger: Any, settings: Bb84Settings, **kwargs: Any) -> None:
        self.tagger = tagger
        self.settings = settings
        self.clicks_wanted = 4e5
        self.longest_s = 60.0
        super().__init__("", name=name, **kwargs)

    @property
    def tags(self) -> RecordedTags:
        """The recorded tags of the tagger."""
        return self.tagger.tags

    def expected_s(self, planned: Mapping[str, Any]) -> float:
        """The longest that an acquisition may take: how many clicks will come is not known before."""
        return float(planned.get(self.max_duration.name, self.longest_s))

    def measure(self, status: TaskStatus) -> None:
        """Gather clicks and find the arrivals in them; only the tagger's worker calls this."""
        blocks: list[TagBlock] = []
        counted = np.zeros(1, np.int64)

        def keep(times: Any, channels: Any) -> None:
            blocks.append((times.copy(), channels.copy()))
            counted[0] += times.size

        acquisition = self.tagger.acquire(
            keep,
            lambda: float(counted[0]) / self.clicks_wanted,
            max_duration_s=self.longest_s,
            status=status,
        )
        times = np.concatenate([block[0] for block in blocks] or [np.empty(0, np.int64)])
        channels = np.concatenate([block[1] for block in blocks] or [np.empty(0, np.uint8)])
        self._store(find_arrivals(times, channels, self.settings), acquisition.duration_ps / 1e12)

    def _store(self, found: Arrivals, duration_s: float) -> None:
        self.delays.store(found.delays_ps)
        self.delay_errors.store(found.errors_ps)
        self.widths.store(found.widths_ps)
        self.clicks.store(found.clicks)
        self.histograms.store(found.histograms)
        self.period.store(found.period_ps)
        self.rates.store(found.clicks / duration_s)
        self.duration.store(duration_s)
