"""Clason et al., Figs. 2 and 3(e), beside recorded runs of `detector_comparison` and `accumulate_key`."""

from collections.abc import Sequence

from plans.detectors import EXTERNAL, NAMES, PUBLISHED, summaries
from plans.key_figure import PUBLISHED_H, PUBLISHED_MBIT
from plans.published.table import Row, Runs, run_of
from qdci_lab.record.replay import Run

LIU_NYK = "clason_trusted_node"
SECONDS_PER_HOUR = 3600.0
LEAST_H = 20.0
"""Ten currents in one core after the other take about a day."""
CALIBRATED = (
    "receiver loss and both bases' errors to the rate without the multicore fibre; mu, nu, p_Z, block assumed"
)


def recorded_rows(runs: Runs) -> list[Row]:
    """A row for each number that a run in the folder has; none without runs."""
    compared = run_of(runs, "detector_comparison", LIU_NYK, lambda run: run.start["plan_args"]["core"] == 0)
    accumulated = run_of(runs, "accumulate_key", LIU_NYK)
    return [*(_detector_rows(compared) if compared else ()), *(_key_rows(accumulated) if accumulated else ())]


def _detector_rows(run: Run) -> Sequence[Row]:
    found = summaries([event["data"] for event in run.events("primary")])
    rows = []
    for number, one in sorted(found.items()):
        published, fitted = PUBLISHED[number], number == EXTERNAL
        rows.append(
            Row(
                "Clason, Fig. 2(a)" if fitted else "Clason, Fig. 2(b)",
                f"key rate past the multicore fibre, {NAMES[number]}, in blocks",
                "B" if fitted else "C",
                "kb/s",
                1e-3 * published.skr_bps,
                1e-3 * published.skr_spread_bps,
                1e-3 * one.skr_bps,
                0.35,
                run.path.name,
                f"{CALIBRATED}; the patch's 1 dB is in it" if fitted else published.remark,
            )
        )
    return rows


def _key_rows(run: Run) -> Sequence[Row]:
    """Sums of both links, as if they had gone on to 92 hours; none of a run too short to have seen all settings."""
    last = list(run.events("primary"))[-1]["data"]
    hours = float(last["relay_time"]) / SECONDS_PER_HOUR
    if hours < LEAST_H:
        return []
    testbeds = (str(run.start.get("testbed", "")), str(run.start.get("relayed_with", "")).partition(",")[0])
    note = f"{CALIBRATED}; {hours:.1f} h, scaled to {PUBLISHED_H:g} h"
    return [
        Row(
            "Clason, Fig. 3(e)", f"key of {testbed}", "B", "Mbit", PUBLISHED_MBIT[testbed], None,
            1e-6 * float(last[f"relay_{key}"]) * PUBLISHED_H / hours, 0.35, run.path.name, note,
        )
        for testbed, key in zip(testbeds, ("own", "other"), strict=True)
        if testbed in PUBLISHED_MBIT
    ]  # fmt: skip
