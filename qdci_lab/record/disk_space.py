"""Room on the disk that a run keeps free, so that its file can still be finished."""

import shutil
from pathlib import Path

from qdci_lab.errors import RecordError

RESERVE_BYTES = 256 << 20


def check_space(directory: Path, *, reserve_bytes: int, unfinished_bytes: int) -> None:
    """RecordError unless the reserve is free, and as much again as the file will need of what is recorded so far."""
    free, needed = shutil.disk_usage(directory).free, reserve_bytes + unfinished_bytes
    if free < needed:
        raise RecordError(
            f"only {free / 1e6:.0f} MB are free for {directory}; {needed / 1e6:.0f} MB are kept for finishing the file"
        )
