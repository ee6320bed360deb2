"""What a pure-loss channel can carry at most: the PLOB bound and its counterpart with one middle station.

PLOB: S. Pirandola, R. Laurenza, C. Ottaviani, L. Banchi, Nat. Commun. 8, 15043 (2017), eq. (1).
One repeater: S. Pirandola, Commun. Phys. 2, 51 (2019), for the repeater halfway.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def plob_bound(transmission: ArrayLike) -> Array:
    """-log2(1 - eta) secret bits per use of the channel; infinite without loss.

    With the transmission of the fibre alone (ideal detectors) this is the absolute bound; with the detectors'
    efficiency inside it is the relative one, which is easier to beat.
    """
    eta = np.asarray(transmission, dtype=np.float64)
    if np.any((eta < 0.0) | (eta > 1.0)):
        raise ValueError("a transmission must lie between 0 and 1")
    lossy = np.where(eta < 1.0, eta, 0.0)
    return np.where(eta < 1.0, -np.log1p(-lossy) / math.log(2.0), math.inf)


def single_repeater_bound(transmission: ArrayLike) -> Array:
    """-log2(1 - sqrt(eta)) bits per use with one repeater halfway; `transmission` is that of the whole way."""
    return plob_bound(np.sqrt(np.asarray(transmission, dtype=np.float64)))
