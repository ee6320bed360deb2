"""How often a lock is found against loss: `python -m tests.physics.lock_probability` draws docs/synchronisation.png.

Tags are synthetic (tests/unit/analysis/conftest.py): 700 kcps without added loss, 1.2 kcps of dark counts in four
detectors, 150 ps of jitter, a clock 12 ppm off. Prints the table that stands in docs/synchronisation.md.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from qdci_lab.analysis import Receiver, make_code, synchronise
from qdci_lab.analysis.statistics import Proportion, estimate_proportion
from qdci_lab.errors import SynchronisationError
from tests.unit.analysis.conftest import MU, NU, record_link

CODE = make_code(1024, 0.798, 0.898, seed=1)
FULL_RATE_HZ, DARK_HZ, OFFSET_PPM = 7e5, 300.0, 12.0
LOSSES_DB = tuple(range(18, 38, 2))
SETTINGS = ((0.05, 20.0), (1.0, 20.0), (1.0, 0.0), (4.0, 20.0))
TRIES = 40
FIGURE = Path(__file__).parents[2] / "docs" / "synchronisation.png"


def try_lock(loss_db: float, duration_s: float, drift_ppb_per_s: float, seed: int) -> bool | None:
    """Whether the frame that was found is right; None if there was no lock."""
    tags = record_link(
        CODE,
        rate_hz=FULL_RATE_HZ * 10 ** (-loss_db / 10),
        duration_s=duration_s,
        dark_hz=DARK_HZ,
        offset_ppm=OFFSET_PPM,
        drift_ppb_per_s=drift_ppb_per_s,
        seed=seed,
    )
    try:
        found = synchronise(tags.times, tags.channels, CODE, (MU, NU), Receiver(), 1e4)
    except SynchronisationError:
        return None
    # The lock is judged on the tags it was found in; beyond them a sifter follows the clock.
    searched = tags.times[: found.tags]
    slots, residuals = found.clock.slots_of(searched)
    near = np.abs(residuals) < 600.0
    seen = np.bincount((slots[near] + found.clock.frame_offset) % CODE.length, minlength=CODE.length)
    sent_until = (searched[-1] - searched[0]) * 1e-4
    sent = np.bincount(tags.slots[tags.slots < sent_until] % CODE.length, minlength=CODE.length)
    return bool(np.minimum(seen, sent).sum() > 0.9 * sent.sum())


def probabilities(duration_s: float, drift_ppb_per_s: float) -> tuple[list[Proportion], int]:
    """Lock probability at each loss with its interval, and how many locks were wrong."""
    shares, wrong = [], 0
    for loss_db in LOSSES_DB:
        outcomes = [try_lock(loss_db, duration_s, drift_ppb_per_s, seed) for seed in range(TRIES)]
        wrong += outcomes.count(False)
        shares.append(estimate_proportion(outcomes.count(True), TRIES, interval="clopper-pearson"))
    return shares, wrong


def draw(curves: Sequence[tuple[str, Sequence[Proportion]]], path: Path) -> None:
    """Lock probability against added loss, with 95 % intervals; says that the tags are simulated."""
    figure, axes = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    for label, shares in curves:
        values = np.array([share.value for share in shares])
        ends = np.array([[share.low, share.high] for share in shares]).T
        axes.errorbar(
            LOSSES_DB, values, np.abs(ends - values), marker="o", markersize=4, capsize=2, label=label
        )
    axes.set(xlabel="added loss (dB); 700 kcps at 0 dB", ylabel="lock probability", ylim=(-0.03, 1.03))
    axes.set_title("SIMULATED tags: 1.2 kcps dark, 150 ps jitter, clock 12 ppm off", fontsize=10)
    rates = axes.secondary_xaxis("top", functions=(lambda x: x, lambda x: x))
    rates.set_xticks(
        LOSSES_DB[::2], [f"{FULL_RATE_HZ * 10 ** (-loss / 10):.0f} cps" for loss in LOSSES_DB[::2]]
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path, dpi=110)


def write_row(*cells: str) -> None:
    """One row of a Markdown table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")


def main() -> None:
    """Write the table to standard output and draw the figure."""
    curves = []
    write_row("tags of", "drift", *(f"{loss} dB" for loss in LOSSES_DB), "wrong locks")
    write_row(*["---"] * (len(LOSSES_DB) + 3))
    for duration_s, drift in SETTINGS:
        shares, wrong = probabilities(duration_s, drift)
        row = (f"{share.value:.2f}" for share in shares)
        write_row(f"{duration_s:g} s", f"{drift:g} ppb/s", *row, str(wrong))
        curves.append((f"{duration_s:g} s of tags, drift {drift:g} ppb/s", shares))
    draw(curves, FIGURE)


if __name__ == "__main__":
    main()
