"""Pure analysis of a decoy-state BB84 link: from time tags to a finite-key rate, and the noise it works in.

Compiled code and special functions are imported by what needs them, when it first does.
"""

from qdci_lab.analysis.bb84 import Bb84Analysis, Bb84Settings, analyse
from qdci_lab.analysis.bb84_result import UNITS, Bb84Result
from qdci_lab.analysis.clock_recovery import ClockSearch
from qdci_lab.analysis.code import DETECTORS, SymbolCode, expected_pattern, make_code
from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import (
    PROOFS,
    OneDecoyBounds,
    OneDecoyProtocol,
    Proof,
    binary_entropy,
    one_decoy_bounds,
)
from qdci_lab.analysis.key_rate import KeyRate, estimate_key_rate
from qdci_lab.analysis.receiver import Receiver
from qdci_lab.analysis.slot_clock import SlotClock
from qdci_lab.analysis.statistics import Proportion, estimate_proportion
from qdci_lab.analysis.synchronisation import Synchronisation, synchronise
from qdci_lab.analysis.timetags import SiftedTags, TagSifter

__all__ = [
    "DETECTORS",
    "PROOFS",
    "UNITS",
    "Bb84Analysis",
    "Bb84Result",
    "Bb84Settings",
    "ClockSearch",
    "KeyRate",
    "OneDecoyBounds",
    "OneDecoyProtocol",
    "Proof",
    "Proportion",
    "Receiver",
    "SiftedCounts",
    "SiftedTags",
    "SlotClock",
    "SymbolCode",
    "Synchronisation",
    "TagSifter",
    "analyse",
    "binary_entropy",
    "estimate_key_rate",
    "estimate_proportion",
    "expected_pattern",
    "make_code",
    "one_decoy_bounds",
    "synchronise",
]
