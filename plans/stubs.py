"""Short pieces that experiments are made of."""

from collections.abc import Sequence
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


def read_together(devices: Sequence[Any], *, stream: str) -> MsgGenerator[dict[str, Any]]:
    """What devices have measured last, as one event of a stream."""
    yield from bps.create(stream)
    data: dict[str, Any] = {}
    for device in devices:
        data.update((yield from bps.read(device)) or {})
    yield from bps.save()
    return data
