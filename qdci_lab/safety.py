"""The safe state of many devices as one thing that a plan can set."""

import functools
import logging
import threading
from collections.abc import Sequence

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
        combined = Status(obj=self)
        waiting = {device.name for device in self._devices}
        lock = threading.Lock()

        def arrived(device: LabDevice, status: Status) -> None:
            error = status.exception(timeout=0)
            if error is not None:
                LOG.error("%s could not be brought into its safe state: %s", device.label, error)
            with lock:
                waiting.discard(device.name)
                last = not waiting
            if last:
                combined.set_finished()

        for device in self._devices:
            device.make_safe().add_callback(functools.partial(arrived, device))
        if not self._devices:
            combined.set_finished()
        return combined
