"""Every plan finds what the twin was set to without its knowledge.

One or two fixed seeds by default, each of which must be found. With `QDCI_TRUTH_SEEDS=20` twenty, of which as many may
be missed as a right plan misses but once in 300 times, by the binomial law of each control's stated false-alarm rate.
The first run of each is replayed as well: its file gives the same points and the same figure.
"""

import json
import os
import shutil

import pytest
from scipy.stats import binom

from qdci_lab.experiment import replay_file
from tests.truth.control import judged
from tests.truth.controls import CONTROLS

SEEDS = int(os.environ.get("QDCI_TRUTH_SEEDS", "0"))
MOST_OFTEN = 0.003


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_hidden_is_found(name, tmp_path, console):
    control = CONTROLS[name]
    first, seeds = (0, SEEDS) if SEEDS else (control.first_seed, control.seeds)
    missed = []
    for seed in range(first, first + seeds):
        outcome, found = judged(control, seed, tmp_path / str(seed))
        missed += [found] if found else []
        if seed == first:
            replayed = replay_file(shutil.copy(outcome.file, tmp_path / "copy.h5"), console=console)
            assert json.dumps(replayed.points) == json.dumps(outcome.points)
            assert replayed.figure.read_bytes() == outcome.figure.read_bytes()
    allowed = int(binom.isf(MOST_OFTEN, seeds, control.false_alarm)) if SEEDS else 0
    assert len(missed) <= allowed, "\n".join(line for lines in missed for line in lines)
