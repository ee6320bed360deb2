"""What a three-state BB84 acquisition comes to: the numbers of a BB84 acquisition, and those of the other reading.

The BB84 numbers hold the direct reading of the phase error (|+> found as |->). The virtual one needs what no other
protocol looks at: Z preparations measured in X. See `qdci_lab.analysis.three_state`.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from qdci_lab.analysis.bb84_result import UNITS as BB84_UNITS
from qdci_lab.analysis.bb84_result import Bb84Result, Scalar
from qdci_lab.analysis.code import X, Z
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.analysis.receiver import Receiver
from qdci_lab.analysis.three_state import ThreeStateCounts, three_state_bounds
from qdci_lab.analysis.timetags import SiftedTags
from qdci_lab.units import ps_to_seconds

UNITS: Mapping[str, str] = MappingProxyType(
    {
        **BB84_UNITS,
        "n_z_in_x": "count",
        "z_in_x_plus_share": "1",
        "skr_virtual": "bit/s",
        "key_length_virtual": "bit",
        "phase_error_virtual": "1",
    }
)


def three_state_counts(tags: SiftedTags, receiver: Receiver) -> ThreeStateCounts:
    """Counts by what was sent and found, signal and decoy, under the receiver's conventions."""
    found = tags.readings(receiver.double_click, receiver.cross_click).astype(np.float64)
    in_z, in_x = found[Z, ..., Z, :], found[Z, ..., X, :].sum(axis=-2)
    return ThreeStateCounts(
        n_z=in_z.sum(axis=(-2, -1)),
        m_z=in_z[:, 0, 1] + in_z[:, 1, 0],
        plus_as_plus=found[X, :, 0, X, 0],
        plus_as_minus=found[X, :, 0, X, 1],
        z_as_plus=in_x[:, 0],
        z_as_minus=in_x[:, 1],
    )


def three_state_scalars(
    result: Bb84Result, protocol: OneDecoyProtocol, receiver: Receiver
) -> dict[str, Scalar]:
    """Flat scalars, keyed as in `UNITS`."""
    counts = three_state_counts(result.tags, receiver)
    bounds = three_state_bounds(counts, protocol, "virtual")
    z_as_plus, z_in_x = counts.z_as_plus.sum(), (counts.z_as_plus + counts.z_as_minus).sum()
    length = float(bounds.key_length)
    return {
        **result.to_dict(),
        "n_z_in_x": int(z_in_x),
        "z_in_x_plus_share": float(z_as_plus / z_in_x) if z_in_x else 0.5,
        "skr_virtual": length / ps_to_seconds(result.duration_ps),
        "key_length_virtual": length,
        "phase_error_virtual": float(bounds.phi_z),
    }
