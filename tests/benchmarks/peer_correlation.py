"""Run by an interpreter that has a published analyser: it counts the pairs of channels 1 and 2 of some tags.

The tags come on stdin, and as a quTAG file for those that read files.
Each peer has a span of time differences that it can do in one go; what is exact there is counted here, by searching
the sorted times of one channel for the ends of the span about each time of the other.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np


def exact(firsts, seconds, low_ps, high_ps):
    """Pairs with low <= second - first < high."""
    ends = (np.searchsorted(seconds, firsts + edge) for edge in (low_ps, high_ps))
    return int(-np.subtract(*(np.sum(end) for end in ends)))


def by_pycorrelate(firsts, seconds, reach_ps, bin_ps):
    from pycorrelate import pcorrelate

    edges = np.arange(-reach_ps, reach_ps + 1, bin_ps)
    return lambda: float(np.sum(pcorrelate(firsts, seconds, edges) * np.diff(edges))), (-reach_ps, reach_ps)


def by_tttrlib(firsts, seconds, reach_ps, _bin_ps):
    import tttrlib

    def count():
        correlator = tttrlib.Correlator()
        correlator.method, correlator.n_bins, correlator.n_casc = "wahl", reach_ps, 1
        correlator.set_macrotimes(firsts.astype(np.uint64), seconds.astype(np.uint64))
        correlator.set_weights(np.ones(firsts.size), np.ones(seconds.size))
        return float(np.sum(correlator.get_corr()))

    return count, (1, reach_ps + 1)


def by_etabackend(path, reach_ps, bin_ps):
    """The recipe for a quTAG that comes with it; its clock remembers 100 starts."""
    import etabackend
    from etabackend.eta import ETA

    eta = ETA()
    recipe = Path(etabackend.__file__).parent / "static" / "recipes" / "Correlation-qutag.eta"
    eta.load_recipe(json.loads(recipe.read_text(encoding="utf-8")))
    for name, value in (("bins", reach_ps // bin_ps), ("binsize", bin_ps), ("bw_delay", 0), ("fw_delay", 0)):
        eta.recipe.set_parameter(name, str(value))
    eta.load_recipe()

    def count():
        found = eta.run({"timetagger1": eta.clips(Path(path))}, group="quTAG")
        return float(np.sum(found["h3"]) + np.sum(found["h4"]))

    return count, (-reach_ps + 1, reach_ps)


def main():
    name, path, count, reach_ps, bin_ps = *sys.argv[1:3], *(int(word) for word in sys.argv[3:])
    if importlib.util.find_spec(name) is None:
        return
    data = sys.stdin.buffer.read()
    times = np.frombuffer(data, np.int64, count)
    channels = np.frombuffer(data, np.uint8, count, 8 * count)
    firsts, seconds = times[channels == 1], times[channels == 2]
    if name == "etabackend":
        way, span = by_etabackend(path, reach_ps, bin_ps)
        way()
    else:
        make = {"pycorrelate": by_pycorrelate, "tttrlib": by_tttrlib}[name]
        make(firsts[:1000], seconds[:1000], reach_ps, bin_ps)[0]()
        way, span = make(firsts, seconds, reach_ps, bin_ps)
    begun = time.perf_counter()
    pairs = way()
    taken_s = time.perf_counter() - begun
    result = {"seconds": taken_s, "pairs": pairs, "exact": exact(firsts, seconds, *span)}
    sys.stdout.write("\n" + json.dumps(result))


main()
