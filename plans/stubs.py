"""Short pieces that experiments are made of.

They yield messages themselves: each of bluesky's own stubs formats the stack when it is called, to warn of a forgotten
`yield from`, which in a campaign of 3500 blocks and in its rehearsal comes to a minute.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bluesky.utils import Msg, MsgGenerator

TURN = "turn"


def trigger_in_turn(devices: Sequence[Any]) -> MsgGenerator[None]:
    """Measure devices one after the other.

    Measurements that take lab time would overlap in whatever way the threads happen to run, and two runs with one seed
    would differ.
    """
    for device in devices:
        yield Msg("trigger", device, group=TURN)
        yield Msg("wait", None, group=TURN)


def set_in_turn(settings: Iterable[tuple[Any, Any]]) -> MsgGenerator[None]:
    """Set each signal to its value, one after the other."""
    for signal, value in settings:
        yield Msg("set", signal, value, group=TURN)
        yield Msg("wait", None, group=TURN)


def read_together(devices: Sequence[Any], *, stream: str) -> MsgGenerator[dict[str, Any]]:
    """What devices have measured last, as one event of a stream."""
    yield Msg("create", None, name=stream)
    data: dict[str, Any] = {}
    for device in devices:
        data.update((yield Msg("read", device)) or {})
    yield Msg("save")
    return data


class Findings:
    """Numbers that a plan has found, as a device that can be read; event keys are `name_key`.

    One object serves all events of a stream, as bluesky wants it.
    """

    parent = None

    def __init__(self, name: str) -> None:
        self.name = name
        self._values: Mapping[str, tuple[float, str]] = {}
        self._found_s = time.time()

    def keep(self, values: Mapping[str, tuple[float, str]]) -> None:
        """Have these numbers, each as (value, unit), ready to be read."""
        self._values, self._found_s = values, time.time()

    def record(
        self, values: Mapping[str, tuple[float, str]], *beside: Any, stream: str = "primary"
    ) -> MsgGenerator[None]:
        """One event of numbers, each as (value, unit), with what devices `beside` have measured last."""
        self.keep(values)
        yield from read_together([self, *beside], stream=stream)

    def read(self) -> dict[str, Any]:
        """The numbers, with the time at which they were found."""
        return {
            f"{self.name}_{key}": {"value": float(value), "timestamp": self._found_s}
            for key, (value, _) in self._values.items()
        }

    def describe(self) -> dict[str, Any]:
        """Type and unit of each."""
        return {
            f"{self.name}_{key}": {"source": "plan", "dtype": "number", "shape": [], "units": unit}
            for key, (_, unit) in self._values.items()
        }

    def read_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """Nothing."""
        return {}
