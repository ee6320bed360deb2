"""The safe state of many devices, and where they stood before, each as one thing that a plan can set."""

import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ophyd.status import Status

from qdci_lab.device import LabDevice

LOG = logging.getLogger("qdci_lab")


class SafeState:
    """All devices' safe states together; what fails is logged, and keeps no other device from its own."""

    name = "safe_state"
    parent = None

    def __init__(self, devices: Sequence[LabDevice]) -> None:
        self._devices = tuple(devices)

    def set(self, _safe: bool) -> Status:
        """Bring every device into its safe state; the status succeeds when each has arrived or failed."""
        actions = {device.label: device.make_safe for device in self._devices}
        return _all_of(self, actions, "%s could not be brought into its safe state: %s")


class FormerPositions:
    """Where signals stood when this was made; setting it brings back those that have moved, and logs what fails."""

    name = "former_positions"
    parent = None

    def __init__(self, signals: Sequence[Any]) -> None:
        self._former = [(signal, signal.last) for signal in signals]

    def set(self, _back: bool) -> Status:
        """Bring back what has moved; the status succeeds when each signal has arrived or failed."""
        moved = {signal.name: (signal, value) for signal, value in self._former if signal.last != value}
        actions = {name: functools.partial(signal.set, value) for name, (signal, value) in moved.items()}
        return _all_of(self, actions, "%s could not be brought back to where it was: %s")


def _all_of(owner: object, actions: Mapping[str, Callable[[], Status]], complaint: str) -> Status:
    """A status that succeeds when every action has ended; the complaint about each failure goes to the log."""
    combined = Status(obj=owner)
    waiting = set(actions)
    lock = threading.Lock()

    def arrived(name: str, status: Status) -> None:
        error = status.exception(timeout=0)
        if error is not None:
            LOG.error(complaint, name, error)
        with lock:
            waiting.discard(name)
            last = not waiting
        if last:
            combined.set_finished()

    for name, action in actions.items():
        action().add_callback(functools.partial(arrived, name))
    if not actions:
        combined.set_finished()
    return combined
