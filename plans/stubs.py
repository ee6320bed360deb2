"""Short pieces that experiments are made of."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator


def trigger_in_turn(devices: Sequence[Any]) -> MsgGenerator[None]:
    """Measure devices one after the other.

    Measurements that take lab time would overlap in whatever way the threads happen to run, and two runs with one seed
    would differ.
    """
    for device in devices:
        yield from bps.trigger(device, wait=True)


def set_in_turn(settings: Iterable[tuple[Any, Any]]) -> MsgGenerator[None]:
    """Set each signal to its value, one after the other."""
    for signal, value in settings:
        yield from bps.mv(signal, value)


def read_together(devices: Sequence[Any], *, stream: str) -> MsgGenerator[dict[str, Any]]:
    """What devices have measured last, as one event of a stream."""
    yield from bps.create(stream)
    data: dict[str, Any] = {}
    for device in devices:
        data.update((yield from bps.read(device)) or {})
    yield from bps.save()
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
