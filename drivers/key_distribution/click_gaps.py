"""What the gaps between a detector's clicks say of the detector."""

import numpy as np
from numpy.typing import NDArray

from drivers.key_distribution.gathered_clicks import GatheredClicks
from drivers.key_distribution.tag_measurement import soft_setting
from qdci_lab.analysis.click_gaps import study_click_gaps
from qdci_lab.signals import measured


class ClickGaps(GatheredClicks):
    """`trigger` finds how long each detector is silent after a click, and how often an afterpulse follows.

    Arrays are in the order Z0, Z1, X0, X1. Trapped charge must be gone `horizon` after a click.
    """

    MODEL = "click gaps"

    horizon = soft_setting("horizon_s", "s", (1e-7, 1e-2))
    afterpulsing = measured(None, "1", precision=5)
    afterpulsing_errors = measured(None, "1", precision=5)
    dead_times = measured(None, "s", precision=9)
    clicks = measured(None, "count")

    horizon_s = 1e-5

    def study(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8], duration_s: float) -> None:
        """Silence and afterpulsing of each detector; AcquisitionError, naming the input, with too few clicks."""
        del duration_s
        found = study_click_gaps(
            times_ps, channels, self.settings.receiver.inputs, self.settings.period_ps, self.horizon_s
        )
        self.afterpulsing.store(found.afterpulsing)
        self.afterpulsing_errors.store(found.afterpulsing_errors)
        self.dead_times.store(found.dead_times_s)
        self.clicks.store(found.clicks)
