"""Every plan finds what the twin was set to without its knowledge.

One or two fixed seeds by default, each of which must be found. With `QDCI_TRUTH_SEEDS=20` twenty, of which as many may
be missed as a right plan misses but once in 300 times, by the binomial law of each control's stated false-alarm rate.
"""

import os

import pytest
from scipy.stats import binom

from tests.truth.controls import CONTROLS, misses

SEEDS = int(os.environ.get("QDCI_TRUTH_SEEDS", "0"))
MOST_OFTEN = 0.003


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_hidden_is_found(name, tmp_path):
    control = CONTROLS[name]
    seeds = SEEDS or control.seeds
    missed = [found for seed in range(seeds) if (found := misses(control, seed, tmp_path / str(seed)))]
    allowed = int(binom.isf(MOST_OFTEN, seeds, control.false_alarm)) if SEEDS else 0
    assert len(missed) <= allowed, "\n".join(line for lines in missed for line in lines)
