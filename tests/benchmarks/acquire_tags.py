"""One acquisition through a C library, in a process of its own; what it came to is printed as JSON."""

import ctypes
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.time_tagger.acquisition import Acquisition
from drivers.time_tagger.qutag import QuTag
from qdci_lab.analysis import Receiver, SlotClock, TagSifter, make_code
from qdci_lab.clock import WallClock
from qdci_lab.record.tag_stream import path_of
from qdci_lab.record.time_tags import TagSegmentReader

TEMPLATE_TAGS, SPAN_PS = 1 << 20, 10_000 * 1_048_576
CODE = make_code(1024, 0.8, 0.9, seed=1)


def template() -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """A tag a slot on average; shifted repetitions continue one 100 MHz clock."""
    rng = np.random.default_rng(3)
    slots = np.sort(rng.integers(1, SPAN_PS // 10_000 - 1, TEMPLATE_TAGS))
    times = np.sort(slots * 10_000 + np.rint(rng.normal(0.0, 150.0, TEMPLATE_TAGS)).astype(np.int64))
    return times, rng.integers(1, 5, TEMPLATE_TAGS).astype(np.uint8)


def new_sifter() -> TagSifter:
    return TagSifter(CODE, SlotClock(0, 10_000.0), Receiver(gate_width_ps=1e3))


def feed(library: ctypes.CDLL, times: NDArray[np.int64], channels: NDArray[np.uint8], rate_hz: float) -> None:
    library.tags_given.restype = library.tags_overwritten.restype = ctypes.c_int64
    columns = (ctypes.c_void_p(column.ctypes.data) for column in (times, channels))
    library.feed(*columns, ctypes.c_int64(times.size), ctypes.c_int64(SPAN_PS), ctypes.c_double(rate_hz))


def main() -> None:
    path, folder, rate_hz, seconds, recorded = sys.argv[1:]
    times, channels = template()
    new_sifter().add(times[:2000], channels[:2000])  # compiled, or read from the cache, before tags come
    library = ctypes.CDLL(path)
    feed(library, times, channels, float(rate_hz))
    tagger = QuTag(f"c_api:{path}", name="tagger", label="tagger", clock=WallClock(), on_data_loss="record")
    tagger.connect()
    tagger.segment_directory, tagger.keep_tags = Path(folder), bool(int(recorded))
    tagger.stage()
    tagger.tags.describe_collect()
    sifter, results = new_sifter(), list[Acquisition]()
    begun, processor_s = time.perf_counter(), time.process_time()
    tagger.submit(
        lambda _status: results.append(tagger.acquire(sifter.add, lambda: 0.0, max_duration_s=float(seconds)))
    ).wait(600)
    documents = list(tagger.tags.collect_asset_docs())  # they name what has been synced
    elapsed_s, processor_s = time.perf_counter() - begun, time.process_time() - processor_s
    tagger.unstage()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    segment = TagSegmentReader(path_of(documents[0][1]["uri"])) if documents else None
    result = {
        "count": results[0].count,
        "lost": results[0].lost,
        "given": library.tags_given(),
        "overwritten": library.tags_overwritten(),
        "overwritten_at_most": results[0].overwritten_at_most,
        "flagged": results[0].data_lost,
        "sifted": int(sifter.finish().singles.sum()),
        "in_file": segment.count if segment else 0,
        "elapsed_s": elapsed_s,
        "processor_s": processor_s,
        "peak_mib": peak_mib,
    }
    if segment is not None:
        segment.path.unlink()
    tagger.disconnect()
    json.dump(result, sys.stdout)


main()
