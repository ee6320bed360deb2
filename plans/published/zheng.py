"""Zheng et al. (integrated twin-field network) and Wu et al. (field multicore fibre): what can be said of them."""

from collections.abc import Sequence

import numpy as np

from plans.published.table import Row, Runs, family
from qdci_lab.analysis.repeaterless import plob_bound
from qdci_lab.analysis.twin_field import TwinFieldLink, aopp_rate

ATTENUATION_DB_PER_KM = 0.19
DETECTOR, DARK, MISALIGNMENT = 0.6, 1e-9, 0.03


def over_bound(length_km: float) -> float:
    """Best key rate of SNS with pairing over the PLOB bound of the fibre, intensities and sending chance optimised."""
    arm = DETECTOR * 10.0 ** (-0.05 * ATTENUATION_DB_PER_KM * length_km)
    mu, sending = np.meshgrid(np.linspace(0.1, 0.9, 41), np.linspace(0.05, 0.5, 46))
    best = float(np.max(aopp_rate(TwinFieldLink(arm, DARK, MISALIGNMENT), mu, sending).rate))
    return best / float(plob_bound(10.0 ** (-0.1 * ATTENUATION_DB_PER_KM * length_km)))


@family("Zheng et al., integrated twin-field network; Wu et al., field multicore fibre")
def rows(runs: Runs) -> Sequence[Row]:
    """Ordering against the repeaterless bound, and what is missing."""
    del runs
    note = f"{ATTENUATION_DB_PER_KM} dB/km, detectors 60 %, 1e-9, 3 % assumed; asymptotic"
    return [
        Row(
            "Zheng",
            "key rate over the PLOB bound at 370 km",
            "A",
            "",
            None,
            None,
            over_bound(370.0),
            note=note,
            published_text="above 1 on all pairs",
        ),
        Row(
            "Zheng",
            "key rate over the PLOB bound at 204 km",
            "A",
            "",
            None,
            None,
            over_bound(204.0),
            note=note,
            published_text="not claimed",
        ),
        Row(
            "Zheng",
            "capability of the network",
            "A",
            "km",
            3700.0,
            None,
            20 / 2 * 370.0,
            1e-9,
            note="ten pairs of 370 km",
        ),
        Row(
            "Zheng",
            "key rate in b/s",
            "C",
            "b/s",
            note="clock rate and duty cycle are not available",
            published_text="-",
        ),
        Row(
            "Zheng", "QBER in X; linewidth; yield", "input", "", published_text="2.9 to 4.2 %; 60 Hz; 97.5 %"
        ),
        Row("Wu", "all values", "C", "", note="the text holds no numbers", published_text="several km, Tb/s"),
    ]
