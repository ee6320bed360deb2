"""What many blocks of key come to at one setting, and what held them up, as quantities that events can hold."""

from typing import Any

import numpy as np

from qdci_lab.device import LabDevice
from qdci_lab.signals import measured


class StepSummary(LabDevice):
    """Mean and spread over the blocks of one step; a plan tells it when a step begins, what came, and when it ends.

    `skr` is the mean over blocks, zero key counted as zero, `skr_spread` their standard deviation; error rates are
    those of all blocks' detections together.
    """

    MODEL = "summary of key blocks"

    core = measured(None, "1", precision=0)
    current = measured(None, "mA", precision=2)
    blocks = measured(None, "count", precision=0)
    skr = measured(None, "bit/s", kind="hinted")
    skr_spread = measured(None, "bit/s")
    skr_virtual = measured(None, "bit/s")
    key_bits = measured(None, "bit", precision=0)
    qber_z = measured(None, "1", precision=5, kind="hinted")
    qber_x = measured(None, "1", precision=5, kind="hinted")
    count_rate = measured(None, "1/s")
    duration = measured(None, "s")
    lab_time = measured(None, "s")
    reason = measured(None, None, kind="omitted")
    held_core = measured(None, "1", precision=0, kind="omitted")
    held_from = measured(None, "s", kind="omitted")
    held_for = measured(None, "s", kind="omitted")

    def __init__(self, *, name: str, **kwargs: Any) -> None:
        super().__init__("", name=name, **kwargs)
        self._rows: list[dict[str, float]] = []
        self.identity.refresh()

    @property
    def interruption(self) -> tuple[Any, ...]:
        """What an event of an interruption holds."""
        return (self.reason, self.held_core, self.held_from, self.held_for)

    def begin(self, core: int, current_ma: float) -> None:
        """A new step: forget the blocks of the last one."""
        self._rows = []
        self.core.store(core)
        self.current.store(current_ma)

    def add(self, link: Any, reading: dict[str, Any]) -> None:
        """Take in one block's reading; an empty one, of a dry run, counts nothing."""
        if reading:
            prefix = f"{link.name}_"
            self._rows.append(
                {key.removeprefix(prefix): entry["value"] for key, entry in reading.items() if key != prefix}
            )

    def end(self) -> None:
        """Compute the summary; NaN where there was no block."""
        rates = self._column("skr_rusca_2018")
        self.blocks.store(len(self._rows))
        self.skr.store(float(rates.mean()))
        self.skr_spread.store(float(rates.std()))
        self.skr_virtual.store(float(self._column("skr_virtual").mean()))
        self.key_bits.store(float(np.nansum(self._column("key_length_rusca_2018"))))
        for basis in "zx":
            wrong = sum(self._column(f"m_{basis}_{kind}").sum() for kind in ("signal", "decoy"))
            getattr(self, f"qber_{basis}").store(float(wrong / self._column(f"n_{basis}").sum()))
        self.count_rate.store(float(self._column("count_rate").mean()))
        self.duration.store(float(np.nansum(self._column("duration"))))
        self.lab_time.store(float(self._column("lab_time")[-1]))

    def note(self, reason: str, core: int, began_s: float, ended_s: float) -> None:
        """What interrupted the key, in which core, from when and for how long on the lab's clock."""
        self.reason.store(reason)
        self.held_core.store(core)
        self.held_from.store(began_s)
        self.held_for.store(ended_s - began_s)

    def _column(self, key: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
        return np.array([row[key] for row in self._rows] or [np.nan], dtype=np.float64)
