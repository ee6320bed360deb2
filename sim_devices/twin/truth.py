"""A truth log: the origin of every click that a time tagger handed out, beside the tags, to score an analysis with.

The file is a plain array of records: `numpy.fromfile(path, dtype=TRUTH)`. Records stand in the order in which the tags
were read; those of acquisitions that somebody gave up are among them, so that tags are looked up by time and channel.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TRUTH = np.dtype([("time_ps", "<i8"), ("channel", "u1"), ("origin", "u1")])
"""Time as it was handed out, input 1 to 4, and origin as in `sim_devices.twin.sampling`: 0 a photon of a pulse
(signal), 1 of Raman scattering, 2 nothing (a dark count), 3 an earlier click (afterpulse), 4 a photon of other
cores or of a carrier that came through the filter (crosstalk), 5 of stray light or spontaneous emission.
"""


class TruthLog:
    """One tagger's file; what was there before is overwritten."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb")

    def append(
        self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8], origins: NDArray[np.uint8]
    ) -> None:
        """Write the records of one reading, and let them reach the file."""
        records = np.empty(len(times_ps), dtype=TRUTH)
        records["time_ps"], records["channel"], records["origin"] = times_ps, channels, origins
        self._file.write(records.tobytes())
        self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()
