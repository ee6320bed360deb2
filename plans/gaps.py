"""Points that gave no key because there was no lock: what was found, written into the run as events of their own."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import FailedStatus, MsgGenerator

from plans.stubs import read_together, trigger_in_turn
from qdci_lab.errors import SynchronisationError

STREAM = "gaps"


class GapLog:
    """What is read into the stream of gaps: the point, the lab time of its beginning, the reason, what was found."""

    parent = None

    def __init__(self, name: str = "gap") -> None:
        self.name = name
        self._values: dict[str, Any] = {}

    def store(self, point: int, lab_time_s: float, reason: str, found: str) -> None:
        """Keep what the next event says."""
        self._values = {"point": point, "lab_time": lab_time_s, "reason": reason, "found": found}

    def read(self) -> dict[str, dict[str, Any]]:
        """What was stored."""
        now_s = time.time()
        return {
            f"{self.name}_{key}": {"value": value, "timestamp": now_s} for key, value in self._values.items()
        }

    def describe(self) -> dict[str, dict[str, Any]]:
        """Numbers and texts."""
        kinds: Mapping[type, str] = {int: "integer", float: "number", str: "string"}
        keys = {
            f"{self.name}_{key}": {"source": "plan", "dtype": kinds[type(value)], "shape": []}
            for key, value in self._values.items()
        }
        keys[f"{self.name}_lab_time"]["units"] = "s"
        return keys

    def read_configuration(self) -> dict[str, dict[str, Any]]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, dict[str, Any]]:
        """Nothing."""
        return {}


def acquire_or_say_why(link: Any) -> MsgGenerator[str]:
    """Trigger the link; the reason if it found no lock, else nothing. Other failures stay failures."""
    try:
        yield from trigger_in_turn([link])
    except FailedStatus as error:
        if not isinstance(error.__cause__, SynchronisationError):
            raise
        return str(error.__cause__)
    return str(link.remark.last or "") if hasattr(link, "remark") else ""


def explain_gap(
    link: Any, log: GapLog, point: int, lab_time_s: float, reason: str, *, beside: Sequence[Any] = ()
) -> MsgGenerator[None]:
    """Ask every instrument how it stands, log what is not as it was set, and set it right for the next point."""
    yield from trigger_in_turn([part for part in link.parts if part is not link.tagger])
    wrong = [(signal, value) for signal, value in link.light_on() if not _stands(signal, value)]
    found = "; ".join(f"{signal.name} is {_shown(signal)}, set was {value}" for signal, value in wrong)
    rates_hz = ", ".join(f"{rate:.0f}" for rate in link.tagger.count_rates.last)
    log.store(point, lab_time_s, reason, found or f"instruments stand as set; clicks/s by input: {rates_hz}")
    yield from read_together([log, *beside], stream=STREAM)
    for signal, value in wrong:
        yield from bps.mv(signal, value)


def _stands(signal: Any, value: Any) -> bool:
    digest = getattr(value, "digest", None)
    if digest is not None:
        return bool(signal.waveform_digest.last == digest and signal.running.last)
    if isinstance(value, int | float) and isinstance(signal.last, int | float):
        return abs(signal.last - value) <= max(0.5 * signal.quantity.resolution, 1e-6)
    return bool(signal.last == value)


def _shown(signal: Any) -> Any:
    return signal.last if hasattr(signal, "last") else "not playing what was loaded"
