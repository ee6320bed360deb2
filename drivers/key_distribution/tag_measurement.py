"""What is computed from time tags while a tagger acquires them: waiting for it, and settings that no instrument has."""

from abc import abstractmethod
from typing import Any

from qdci_lab.device import LabDevice
from qdci_lab.signals import TaskStatus, controlled

# On the bench an acquisition lasts as long as it is asked to; a simulated one may take longer than its lab time.
WALL_PER_LAB_TIME, WALL_ALLOWANCE_S = 2.0, 180.0


def soft_setting(attribute: str, units: str, limits: tuple[float, float]) -> Any:
    """A setting that lives in an attribute of its device, not in an instrument."""
    return controlled(
        lambda device: getattr(device, attribute),
        lambda device, value: setattr(device, attribute, float(value)),
        units, limits=limits, resolution=0.0, kind="config",
    )  # fmt: skip


class TagMeasurement(LabDevice):
    """Measures on its tagger's thread, in one acquisition of at most `longest_s`, which subclasses evaluate."""

    tagger: Any
    longest_s: float

    def trigger(self) -> TaskStatus:
        """Acquire until what is wanted has come or the longest duration is over, and evaluate it."""
        allowance_s = WALL_PER_LAB_TIME * self.longest_s + WALL_ALLOWANCE_S
        return self.tagger.submit(self.measure, name=self.name, units="", timeout=allowance_s)

    def pause(self) -> None:
        """Give up a running acquisition; it is made again."""
        self.tagger.pause()

    @abstractmethod
    def measure(self, status: TaskStatus) -> None:
        """One acquisition and what it comes to; only the tagger's worker calls this."""
