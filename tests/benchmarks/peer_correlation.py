"""Run by an interpreter that has pycorrelate: it correlates channels 1 and 2 of tags on stdin."""

import importlib.util
import json
import sys
import time

import numpy as np


def by_pycorrelate(firsts, seconds, edges):
    from pycorrelate import pcorrelate

    return pcorrelate(firsts, seconds, edges) * np.diff(edges)


def main():
    count, bin_ps, bins = (int(word) for word in sys.argv[1:])
    data = sys.stdin.buffer.read()
    times = np.frombuffer(data, np.int64, count)
    channels = np.frombuffer(data, np.uint8, count, 8 * count)
    firsts, seconds = times[channels == 1], times[channels == 2]
    edges = bin_ps * np.arange(-bins, bins + 2) - bin_ps // 2
    results = {}
    for name, way in (("pycorrelate", by_pycorrelate),):
        if importlib.util.find_spec(name) is None:
            continue
        way(firsts[:1000], seconds[:1000], edges)
        begun = time.perf_counter()
        pairs = way(firsts, seconds, edges)
        results[name] = {"seconds": time.perf_counter() - begun, "pairs": float(np.sum(pairs))}
    json.dump(results, sys.stdout)


main()
