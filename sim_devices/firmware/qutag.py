"""qutools quTAG time-to-digital converter: the device on the bench.

It is driven through its maker's library, which works in the client's process (see qutag_library); on the
bench there is only what lets events in and hands them over.
"""

import threading
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from sim_devices.firmware.qutag_profile import GENERATIONS, Feature
from sim_devices.firmware.qutag_stream import Channels, Times
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle
from sim_devices.twin.lab_time import LabTime


class TagSource(Protocol):
    """The time tagger among the twin's components: gives the tags of each span of lab time once."""

    def start(self, at_ps: int) -> None:
        """Forget every tag before `at_ps`."""
        ...

    def read(self, until_ps: int) -> tuple[Times, Channels]:
        """Tags since the last read and before `until_ps`, sorted: times in ps, input numbers."""
        ...


class Qutag:
    """The device; its input is off until the library switches it on. Assumed: its device number is 0.

    `generation` is 1 or 2; `features` are the flags of what was bought with it, all of the generation if not given.
    """

    MODEL = "qutools quTAG"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        tags: TagSource | None = None,
        device_id: int = 0,
        generation: int = 1,
        features: int | None = None,
    ) -> None:
        if generation not in GENERATIONS:
            raise ValueError(f"generation {generation} of the quTAG is neither 1 nor 2")
        if features is not None and not (isinstance(features, int) and 0 <= features <= sum(Feature)):
            raise ValueError(f"features {features!r} are no flags from 0 to {sum(Feature):#x}")
        self.serial_number = serial_number
        self.generation = generation
        self.features = int(GENERATIONS[generation].features) if features is None else features
        self.device_id = device_id
        self._inputs = connect(components, ["inputs"])["inputs"]
        self._tags = tags
        self._lock = threading.Lock()
        self._inputs.apply(input_on=False)

    @property
    def lab_time(self) -> LabTime:
        """The bench's clock."""
        return self._inputs.lab_time

    def switch_input(self, *, on: bool) -> None:
        """Let events in from now on, or no more; switching on forgets those that nobody has read."""
        with self._lock:
            self._inputs.apply(input_on=on)
            if on and self._tags is not None:
                self._tags.start(self._inputs.lab_time.now_ps())

    def read(self, until_ps: int) -> tuple[Times, Channels]:
        """Events since the last read and before `until_ps`; none where nothing is connected to the inputs."""
        with self._lock:
            if self._tags is None:
                return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint8)
            return self._tags.read(until_ps)
