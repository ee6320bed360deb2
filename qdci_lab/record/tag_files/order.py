"""Puts tags into the order of their times that come out of it by no more than a stated span."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import RecordError

_Block = tuple[NDArray[np.int64], NDArray[np.uint8]]


def in_order(blocks: Iterator[_Block], max_disorder_ps: int, *, label: str) -> Iterator[_Block]:
    """The same tags sorted by time; tags of equal time keep their order.

    Held back are the tags of the last `max_disorder_ps`, no more. RecordError, naming `label`, for a tag that comes
    later after a tag it precedes than stated.
    """
    times, channels = np.empty(0, np.int64), np.empty(0, np.uint8)
    for new_times, new_channels in blocks:
        if not len(new_times):
            continue
        latest = np.maximum.accumulate(np.concatenate([times[-1:], new_times]))[-len(new_times) :]
        late_ps = int((latest - new_times).max(initial=0))
        if late_ps > max_disorder_ps:
            raise RecordError(
                f"{label}: a tag comes {late_ps} ps late, more than the {max_disorder_ps} ps stated as the largest "
                "disorder; state a larger one"
            )
        times = np.concatenate([times, new_times])
        channels = np.concatenate([channels, new_channels])
        order = np.argsort(times, kind="stable")
        times, channels = times[order], channels[order]
        ready = int(np.searchsorted(times, times[-1:] - max_disorder_ps, "left").sum())
        yield times[:ready], channels[:ready]
        times, channels = times[ready:], channels[ready:]
    yield times, channels
