"""Arrival times of the pulses at each detector."""

import numpy as np
from numpy.typing import NDArray

from drivers.key_distribution.gathered_clicks import GatheredClicks
from qdci_lab.analysis.arrival_times import find_arrivals
from qdci_lab.signals import measured


class ArrivalTimes(GatheredClicks):
    """`trigger` finds each detector's delay against the earliest.

    Arrays are in the order Z0, Z1, X0, X1; `histograms` has shape (4, bins) over one pulse period.
    """

    MODEL = "arrival times"

    delays = measured(None, "ps")
    delay_errors = measured(None, "ps")
    widths = measured(None, "ps")
    clicks = measured(None, "count")
    histograms = measured(None, "count")
    period = measured(None, "ps", precision=6)
    rates = measured(None, "1/s")
    duration = measured(None, "s", precision=6)

    def study(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8], duration_s: float) -> None:
        """Delays, widths and rates; SynchronisationError, naming the input, where there is no lock."""
        found = find_arrivals(times_ps, channels, self.settings)
        self.delays.store(found.delays_ps)
        self.delay_errors.store(found.errors_ps)
        self.widths.store(found.widths_ps)
        self.clicks.store(found.clicks)
        self.histograms.store(found.histograms)
        self.period.store(found.period_ps)
        self.rates.store(found.clicks / duration_s)
        self.duration.store(duration_s)
