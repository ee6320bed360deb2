"""Expected detections of weak coherent pulses behind a lossy link: the model that key rates are planned with.

C. C. W. Lim, M. Curty, N. Walenta, F. Xu, H. Zbinden, Phys. Rev. A 89, 022307 (2014), section IV, for dark
counts and afterpulses, with two differences: the optical error goes with the light that was detected (the
printed e_mis term has the channel's transmission alone), and a double click counts as one random bit, so that
dark clicks err half of the time for any number of detectors.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DetectionLink:
    """Channel and detectors of one basis; every field may be an array, all of them broadcast together.

    `transmission` is that of the channel, the receiver's optics (the share of a passive choice of basis
    included) and the detectors; `dark_probability` is per detector and per gate that is kept.
    """

    transmission: ArrayLike
    dark_probability: ArrayLike = 0.0
    misalignment: ArrayLike = 0.0
    afterpulse_probability: ArrayLike = 0.0
    detectors: int = 2

    def __post_init__(self) -> None:
        for name in ("transmission", "dark_probability", "misalignment", "afterpulse_probability"):
            value = np.asarray(getattr(self, name))
            if np.any((value < 0.0) | (value > 1.0)):
                raise ValueError(f"{name} of a link must lie between 0 and 1")
        if self.detectors < 1:
            raise ValueError(f"{self.detectors} detectors: at least one is needed")

    @property
    def background(self) -> Array:
        """Probability Y_0 that a gate without light gives a click."""
        dark = np.asarray(self.dark_probability, np.float64)
        return -np.expm1(self.detectors * np.log1p(-np.minimum(dark, 1.0 - np.finfo(np.float64).eps)))

    def gain(self, intensity: ArrayLike) -> Array:
        """Q_k: detections per pulse of mean photon number `intensity`, D_k (1 + p_ap)."""
        return self._clicks(intensity) * (1.0 + np.asarray(self.afterpulse_probability, np.float64))

    def error_gain(self, intensity: ArrayLike) -> Array:
        """E_k Q_k: wrong detections per pulse, e_mis (1 - e^{-eta k}) + Y_0 e^{-eta k}/2 + p_ap D_k/2."""
        seen = self._seen(intensity)
        afterpulses = 0.5 * np.asarray(self.afterpulse_probability, np.float64) * self._clicks(intensity)
        return np.asarray(self.misalignment) * seen + 0.5 * self.background * (1.0 - seen) + afterpulses

    def _seen(self, intensity: ArrayLike) -> Array:
        return -np.expm1(-np.asarray(self.transmission, np.float64) * np.asarray(intensity, np.float64))

    def _clicks(self, intensity: ArrayLike) -> Array:
        seen = self._seen(intensity)
        return seen + self.background * (1.0 - seen)


@dataclass(frozen=True)
class TwoBasisLink:
    """The same channel seen in the key basis `z` and in the test basis `x`.

    With an `active` choice Bob measures Z as often as Alice sends it; with a passive one the share of the
    splitter is part of each link's transmission and every pulse is measured in both.
    """

    z: DetectionLink
    x: DetectionLink
    active: bool = False

    def expected(
        self,
        pulses: ArrayLike,
        p_z: float,
        probabilities: tuple[float, ...],
        intensities: tuple[float, ...],
    ) -> tuple[Array, Array]:
        """Mean sifted detections and errors of `pulses`, shape [..., basis (Z, X), intensity]."""
        sent = np.asarray(pulses, np.float64)
        n, m = [], []
        for p_basis, link in ((p_z, self.z), (1.0 - p_z, self.x)):
            weight = sent * p_basis * (p_basis if self.active else 1.0)
            for p, k in zip(probabilities, intensities, strict=True):
                n.append(weight * p * link.gain(k))
                m.append(weight * p * link.error_gain(k))
        stacked = (np.stack(np.broadcast_arrays(*values), axis=-1) for values in (n, m))
        detections, errors = (v.reshape(*v.shape[:-1], 2, len(intensities)) for v in stacked)
        return detections, errors
