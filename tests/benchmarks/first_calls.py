"""Processor seconds of the import and of the first call of every estimator, in a process that did nothing else."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any


def estimators() -> Mapping[str, Callable[[], Any]]:
    from qdci_lab.analysis import Receiver, SlotClock, TagSifter, make_code
    from qdci_lab.analysis.arrival import ArrivalHistogram
    from qdci_lab.analysis.coincidences import CoincidenceCounter
    from qdci_lab.analysis.correlation import CrossCorrelator, StartStopHistogram
    from qdci_lab.analysis.rates import RateHistory

    clock = SlotClock(0, 1e4)
    return {
        "sift": lambda: TagSifter(make_code(64, 0.8, 0.9, 1), clock, Receiver()),
        "coincidences": lambda: CoincidenceCounter([(1, 2), (1, 2, 3)], 100, disorder_ps=100),
        "correlation": lambda: CrossCorrelator(1, 2, bin_ps=10, bins_each_side=10),
        "start-stop": lambda: StartStopHistogram(1, 2, bin_ps=10, bins=10),
        "arrival": lambda: ArrivalHistogram(clock, (1, 2), bins=10),
        "rates": lambda: RateHistory((1, 2), interval_ps=1000),
    }


def first_call(make: Callable[[], Any]) -> None:
    import numpy as np

    estimator = make()
    for cut in (slice(0, 1), slice(1, 3000)):
        estimator.add(np.arange(3000)[cut] * 1000, np.arange(3000).astype(np.uint8)[cut] % 5)
    estimator.finish()


def main() -> None:
    seconds: dict[str, float] = {}

    def time_it(name: str, work: Callable[[], object]) -> None:
        begun = time.process_time()
        work()
        seconds[name] = time.process_time() - begun

    time_it("import", lambda: importlib.import_module("qdci_lab.analysis"))
    for name, make in estimators().items():
        time_it(name, lambda make=make: first_call(make))
    json.dump({**seconds, "in all": sum(seconds.values())}, sys.stdout)


main()
