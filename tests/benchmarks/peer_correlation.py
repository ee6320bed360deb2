"""Run by an interpreter that has tttrlib or pycorrelate: they correlate channels 1 and 2 of tags on stdin."""

import importlib.util
import json
import sys
import time

import numpy as np


def by_pycorrelate(firsts, seconds, edges):
    from pycorrelate import pcorrelate

    return pcorrelate(firsts, seconds, edges) * 1.0


def by_tttrlib(firsts, seconds, edges):
    """Its time axis is one-sided; both signs are asked for, one after the other."""
    import tttrlib

    bins = (len(edges) - 1) // 2
    pairs = []
    for one, other in ((firsts, seconds), (seconds, firsts)):
        correlator = tttrlib.Correlator(n_bins=bins, n_casc=1)
        correlator.set_macrotimes(one.astype(np.uint64), other.astype(np.uint64))
        correlator.set_weights(np.ones(len(one)), np.ones(len(other)))
        pairs.append(np.asarray(correlator.correlation))
    return np.concatenate(pairs)


def main():
    count, bin_ps, bins = (int(word) for word in sys.argv[1:])
    data = sys.stdin.buffer.read()
    times = np.frombuffer(data, np.int64, count)
    channels = np.frombuffer(data, np.uint8, count, 8 * count)
    firsts, seconds = times[channels == 1], times[channels == 2]
    edges = bin_ps * np.arange(-bins, bins + 2) - bin_ps // 2
    results = {}
    for name, way in (("pycorrelate", by_pycorrelate), ("tttrlib", by_tttrlib)):
        if importlib.util.find_spec(name) is None:
            continue
        way(firsts[:1000], seconds[:1000], edges)
        begun = time.perf_counter()
        pairs = way(firsts, seconds, edges)
        results[name] = {"seconds": time.perf_counter() - begun, "pairs": float(np.sum(pairs))}
    json.dump(results, sys.stdout)


main()
