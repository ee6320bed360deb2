"""Pure analysis of quantum links: from time tags to a finite-key rate, key rates by formula, noise.

Compiled code and special functions are imported by what needs them, when it first does.
"""

from qdci_lab.analysis.allan import AllanDeviation, allan_deviation
from qdci_lab.analysis.bb84 import Bb84Analysis, Bb84Settings, analyse
from qdci_lab.analysis.bb84_result import UNITS, Bb84Result
from qdci_lab.analysis.clock_recovery import ClockSearch
from qdci_lab.analysis.code import DETECTORS, SymbolCode, expected_pattern, make_code
from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.cow import Cow4Monitor, CowRate, cow4_rate, cow_restricted_rate
from qdci_lab.analysis.cow_code import CowCode, make_cow_code
from qdci_lab.analysis.cow_result import CowProtocol, CowReceiver, CowResult
from qdci_lab.analysis.cow_tags import CowAnalysis, CowSettings, analyse_cow
from qdci_lab.analysis.decoy import (
    PROOFS,
    OneDecoyBounds,
    OneDecoyProtocol,
    Proof,
    binary_entropy,
    one_decoy_bounds,
)
from qdci_lab.analysis.key_rate import KeyRate, estimate_key_rate
from qdci_lab.analysis.keyed_sequence import KeyedSequence
from qdci_lab.analysis.link_model import DetectionLink, TwoBasisLink
from qdci_lab.analysis.optimise import (
    Block,
    OneDecoyOptimum,
    TwinFieldOptimum,
    TwoDecoyOptimum,
    evaluate_one_decoy,
    evaluate_two_decoy,
    optimise_one_decoy,
    optimise_twin_field,
    optimise_two_decoy,
)
from qdci_lab.analysis.receiver import Receiver
from qdci_lab.analysis.repeaterless import plob_bound, single_repeater_bound
from qdci_lab.analysis.slot_clock import SlotClock
from qdci_lab.analysis.statistics import Proportion, estimate_proportion
from qdci_lab.analysis.synchronisation import Synchronisation, synchronise
from qdci_lab.analysis.three_state import ThreeStateBounds, ThreeStateCounts, three_state_bounds
from qdci_lab.analysis.timetags import SiftedTags, TagSifter
from qdci_lab.analysis.twin_field import TwinFieldLink, TwinFieldRate, aopp_rate, sns_rate
from qdci_lab.analysis.two_decoy import TwoDecoyBounds, TwoDecoyCounts, TwoDecoyProtocol, two_decoy_bounds
from qdci_lab.analysis.vacuum_weak import (
    AsymptoticRate,
    infinite_decoy_rate,
    link_vacuum_weak_rate,
    vacuum_weak_rate,
)

__all__ = [
    "DETECTORS",
    "PROOFS",
    "UNITS",
    "AllanDeviation",
    "AsymptoticRate",
    "Bb84Analysis",
    "Bb84Result",
    "Bb84Settings",
    "Block",
    "ClockSearch",
    "Cow4Monitor",
    "CowAnalysis",
    "CowCode",
    "CowProtocol",
    "CowRate",
    "CowReceiver",
    "CowResult",
    "CowSettings",
    "DetectionLink",
    "KeyRate",
    "KeyedSequence",
    "OneDecoyBounds",
    "OneDecoyOptimum",
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
    "ThreeStateBounds",
    "ThreeStateCounts",
    "TwinFieldLink",
    "TwinFieldOptimum",
    "TwinFieldRate",
    "TwoBasisLink",
    "TwoDecoyBounds",
    "TwoDecoyCounts",
    "TwoDecoyOptimum",
    "TwoDecoyProtocol",
    "allan_deviation",
    "analyse",
    "analyse_cow",
    "aopp_rate",
    "binary_entropy",
    "cow4_rate",
    "cow_restricted_rate",
    "estimate_key_rate",
    "estimate_proportion",
    "evaluate_one_decoy",
    "evaluate_two_decoy",
    "expected_pattern",
    "infinite_decoy_rate",
    "link_vacuum_weak_rate",
    "make_code",
    "make_cow_code",
    "one_decoy_bounds",
    "optimise_one_decoy",
    "optimise_twin_field",
    "optimise_two_decoy",
    "plob_bound",
    "single_repeater_bound",
    "sns_rate",
    "synchronise",
    "three_state_bounds",
    "two_decoy_bounds",
    "vacuum_weak_rate",
]
