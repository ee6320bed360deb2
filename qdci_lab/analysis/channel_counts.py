"""Tags of each channel."""

import numpy as np
from numpy.typing import NDArray


def count_channels(channels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """How often each number occurs, int64 of shape [256]; without a temporary array of the size of the input."""
    from qdci_lab.analysis import coincidence_kernel

    counts = np.zeros(256, dtype=np.int64)
    coincidence_kernel.count_singles(np.ascontiguousarray(channels, dtype=np.uint8), counts)
    return counts
