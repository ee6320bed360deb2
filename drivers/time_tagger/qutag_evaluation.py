"""What a quTAG measures besides time tags: coincidence counters, start-stop histograms, g(2); and its output filters.

Reference: qutools, tdcbase.h, tdcstartstop.h and tdchbt.h.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from drivers.time_tagger import qutag_evaluation_api as evaluation
from drivers.time_tagger.acquisition import Acquisition
from drivers.time_tagger.qutag_api import QuTagApi
from drivers.time_tagger.qutag_evaluation_api import Filter, SecondOrderCorrelation, StartStopHistogram
from qdci_lab.device import LabDevice
from qdci_lab.errors import LocalProtocolError
from qdci_lab.signals import TaskStatus, controlled, measured

MS_PER_S = 1000


class QuTagEvaluation(LabDevice):
    """The part of a quTAG's device that asks the library for results instead of tags.

    `exposure_time` and `coincidence_window` belong to `coincidence_counts`, which are those of the last whole exposure
    in the header's order: start input, stop inputs, pairs, triples and more. The counters run with the device's input.
    """

    exposure_time = controlled(
        lambda device: device.api.evaluation.exposure_ms() / MS_PER_S,
        lambda device, seconds: device.api.evaluation.set_exposure_ms(round(seconds * MS_PER_S)),
        "s",
        limits=(0.0, evaluation.MAX_EXPOSURE_MS / MS_PER_S),
        resolution=1 / MS_PER_S,
        kind="config",
    )
    coincidence_window = controlled(
        lambda device: device.api.evaluation.coincidence_window_ps(),
        lambda device, window_ps: device.api.evaluation.set_coincidence_window_ps(round(window_ps)),
        "ps",
        precision=0,
        limits=(0, evaluation.MAX_COINCIDENCE_WINDOW_PS),
        resolution=1,
        kind="config",
    )
    coincidence_counts = measured(
        lambda device: device.api.evaluation.coincidence_counters()[0],
        "1",
        precision=0,
        kind="omitted",
        polled=False,
    )
    dead_times = measured(
        lambda device: tuple(device.api.evaluation.dead_time_ps(number) for number in device.inputs),
        "ps",
        precision=0,
        kind="omitted",
        polled=False,
    )

    @property
    @abstractmethod
    def api(self) -> QuTagApi:
        """The library's functions."""

    @property
    @abstractmethod
    def inputs(self) -> tuple[int, ...]:
        """Numbers of the stop inputs."""

    @abstractmethod
    def acquire(
        self,
        consume: Callable[..., object],
        progress: Callable[[], float],
        *,
        max_duration_s: float,
        status: TaskStatus | None = None,
    ) -> Acquisition:
        """Let events in for a time."""

    def apply_dead_times(self, dead_times_ps: Sequence[int]) -> None:
        """Dead time of each input; first generation only. Only the worker calls this."""
        if len(dead_times_ps) != len(self.inputs):
            raise LocalProtocolError(
                f"{self.label}: one dead time for each of {len(self.inputs)} inputs, not {list(dead_times_ps)!r}"
            )
        for number, dead_time_ps in zip(self.inputs, dead_times_ps, strict=True):
            self.api.evaluation.set_dead_time_ps(number, int(dead_time_ps))

    def apply_filter(self, channel: int, kind: Filter, with_channels: Sequence[int] = ()) -> None:
        """Keep events of a channel from the tags; the counters see them. Only the worker calls this."""
        self.api.evaluation.set_filter(channel, kind, with_channels)

    def measure_start_stop(
        self,
        pairs: Sequence[tuple[int, int]],
        *,
        bin_width_ps: int,
        bins: int,
        duration_s: float,
        status: TaskStatus | None = None,
    ) -> list[StartStopHistogram]:
        """Start-stop histograms of pairs of channels, taken at the same time. Only the worker calls this, and waits."""
        api = self.api.evaluation
        api.begin_start_stop(pairs, bin_width_ps, bins)
        try:
            self._let_in(duration_s, status)
            return [api.start_stop(*pair, bin_width_ps, bins) for pair in pairs]
        finally:
            api.end_start_stop(pairs)

    def measure_g2(
        self,
        channels: tuple[int, int],
        *,
        bin_width_ps: int,
        bins: int,
        duration_s: float,
        status: TaskStatus | None = None,
    ) -> SecondOrderCorrelation:
        """g(2) of two channels, 2 * bins - 1 values around delay 0. Only the worker calls this, and waits."""
        api = self.api.evaluation
        api.begin_g2(channels, bin_width_ps, bins)
        try:
            self._let_in(duration_s, status)
            return api.g2(channels, bins)
        finally:
            api.end_g2()

    def _let_in(self, duration_s: float, status: TaskStatus | None) -> None:
        def forget(times: np.ndarray[Any, Any], channels: np.ndarray[Any, Any]) -> None:
            """The library has evaluated them."""

        self.acquire(forget, lambda: 0.0, max_duration_s=duration_s, status=status)
