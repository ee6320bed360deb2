"""The columns of tags in the recorded file: small, and plain for any program with h5py and hdf5plugin."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from bluesky import RunEngine

from qdci_lab.record.recorder import Recorder

READER = """
import sys, h5py, hdf5plugin
with h5py.File(sys.argv[1]) as file:
    time = file["entry/tags/time"]
    print(time.dtype, int(time[-1]), int(time[12_345]), int(file["entry/tags/channel"][777]))
assert not any(name.startswith(("qdci", "blosc2")) for name in sys.modules)
"""


def test_a_tag_takes_less_than_3_2_bytes_and_times_are_read_as_they_are(
    engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Any], tag_points: Callable[..., Any]
) -> None:
    tagger = make_tagger(600_000, 600_000)
    engine(tag_points(tagger, 2))
    assert recorder.path is not None
    times, channels = (np.concatenate(column) for column in zip(*tagger.delivered, strict=True))
    file: Any = h5py.File(recorder.path)
    with file:
        tags = file["entry/tags"]
        size = sum(tags[name].id.get_storage_size() for name in ("time", "channel"))
    assert size / len(times) < 3.2
    done = subprocess.run(
        [sys.executable, "-c", READER, str(recorder.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["int64", str(times[-1]), str(times[12_345]), str(channels[777])]
    assert Path(recorder.path).stat().st_size < size + 100_000
