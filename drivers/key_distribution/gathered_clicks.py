"""Clicks that are gathered first and studied afterwards, by devices beside the link that has the tagger."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.key_distribution.tag_measurement import TagMeasurement, soft_setting
from drivers.time_tagger.tags import RecordedTags
from qdci_lab.analysis.bb84 import Bb84Settings, TagBlock
from qdci_lab.signals import TaskStatus

MOST_CLICKS = 2e7


class GatheredClicks(TagMeasurement):
    """`trigger` gathers `wanted_clicks` clicks of all detectors, for `max_duration` at most, which subclasses study."""

    wanted_clicks = soft_setting("clicks_wanted", "count", (1e3, MOST_CLICKS))
    max_duration = soft_setting("longest_s", "s", (1e-3, 1e5))

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
        """Gather clicks and study them; only the tagger's worker calls this."""
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
        self.study(times, channels, acquisition.duration_ps / 1e12)

    @abstractmethod
    def study(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8], duration_s: float) -> None:
        """Find in the clicks what the device is for, and store it."""
