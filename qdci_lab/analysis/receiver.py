"""How the clicks of a four-detector BB84 receiver are read: wiring, delays, gate and conventions.

The basis is chosen by whichever detector clicks, so the same reading serves a passive splitter (where clicks
in both bases can coincide) and an active switch (where they cannot, but for dark counts).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qdci_lab.analysis.code import DETECTORS

DoubleClick = Literal["random-bit", "discard"]
CrossClick = Literal["discard", "random-basis"]


@dataclass(frozen=True)
class Receiver:
    """Wiring of the tagger, gate and the two conventions that a security proof must know.

    `inputs` are the tagger's input numbers of the detectors Z0, Z1, X0, X1, `delays_ps` what each of them
    lags behind the others; it is subtracted. `gate_width_ps` is centred on the arrival of the pulse; None is
    the whole period. `double_click` says what two clicks of one basis in one slot count as, `cross_click`
    what clicks in both bases do. Random choices are a keyed hash of the slot, so a replay repeats them.
    """

    inputs: tuple[int, int, int, int] = (1, 2, 3, 4)
    delays_ps: tuple[int, int, int, int] = (0, 0, 0, 0)
    gate_width_ps: float | None = None
    double_click: DoubleClick = "random-bit"
    cross_click: CrossClick = "discard"
    random_key: int = 0

    def __post_init__(self) -> None:
        if len(self.inputs) != 4 or len(set(self.inputs)) != 4 or not all(0 <= i <= 255 for i in self.inputs):
            raise ValueError(f"four different tagger inputs within 0..255 expected, got {self.inputs}")
        if len(self.delays_ps) != 4:
            raise ValueError(f"one delay for each of {', '.join(DETECTORS)} expected, got {self.delays_ps}")
        if self.gate_width_ps is not None and not self.gate_width_ps > 0.0:
            raise ValueError(f"gate width of {self.gate_width_ps} ps must be positive")
        if self.double_click not in ("random-bit", "discard"):
            raise ValueError(f"unknown convention for double clicks: {self.double_click!r}")
        if self.cross_click not in ("discard", "random-basis"):
            raise ValueError(f"unknown convention for cross-basis clicks: {self.cross_click!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; inverse of `from_dict`."""
        return {
            "inputs": list(self.inputs),
            "delays_ps": list(self.delays_ps),
            "gate_width_ps": self.gate_width_ps,
            "double_click": self.double_click,
            "cross_click": self.cross_click,
            "random_key": self.random_key,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Receiver":
        """The receiver that `to_dict` described."""
        lists = {name: tuple(stored[name]) for name in ("inputs", "delays_ps")}
        return cls(**{**stored, **lists})
