"""Sifted detections and errors by basis and intensity: what the decoy analysis starts from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.analysis.code import X, Z


@dataclass(frozen=True, eq=False)
class SiftedCounts:
    """Detections `n` and errors `m` where both parties used the same basis, shape [..., basis, intensity].

    Leading axes, if any, are independent measurements. Counts may be expectation values, hence float64.
    """

    n: NDArray[np.float64]
    m: NDArray[np.float64]

    def __post_init__(self) -> None:
        n, m = (np.array(given, dtype=np.float64) for given in (self.n, self.m))
        if n.shape != m.shape or n.shape[-2:] != (2, 2):
            raise ValueError(f"sifted counts have shape [..., basis, intensity]; got {n.shape} and {m.shape}")
        if np.any(m < 0.0) or np.any(n < m) or not np.isfinite(n).all():
            raise ValueError("sifted counts must satisfy 0 <= errors <= detections")
        for name, values in (("n", n), ("m", m)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SiftedCounts)
            and np.array_equal(self.n, other.n)
            and np.array_equal(self.m, other.m)
        )

    def __hash__(self) -> int:
        return hash((self.n.tobytes(), self.m.tobytes()))

    @property
    def n_z(self) -> NDArray[np.float64]:
        """Detections in the key basis, both intensities."""
        return self.n[..., Z, :].sum(axis=-1)

    @property
    def n_x(self) -> NDArray[np.float64]:
        """Detections in the test basis, both intensities."""
        return self.n[..., X, :].sum(axis=-1)

    @property
    def m_z(self) -> NDArray[np.float64]:
        """Errors in the key basis, both intensities."""
        return self.m[..., Z, :].sum(axis=-1)

    @property
    def m_x(self) -> NDArray[np.float64]:
        """Errors in the test basis, both intensities."""
        return self.m[..., X, :].sum(axis=-1)

    def scaled(self, factor: ArrayLike) -> "SiftedCounts":
        """The same rates over a block `factor` times as long."""
        stretch = np.asarray(factor, dtype=np.float64)[..., np.newaxis, np.newaxis]
        return SiftedCounts(n=self.n * stretch, m=self.m * stretch)
