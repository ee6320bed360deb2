"""What experiments do with a link whatever its protocol: light on, polarization aligned where there is one, one point.

A link offers `light_on()`, `added_loss`, `detections`, `max_duration`, `keep_tags`, `parts` and `everything`, and of
each acquisition `key_rate`, `error_rate` and `detection_rate`.
"""

from collections.abc import Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from plans.polarization import Descent, align_polarization
from plans.stubs import read_together, trigger_in_turn


def prepare_link(link: Any, *, align: bool) -> MsgGenerator[None]:
    """Quantum light on at no added loss, and the polarization aligned if the protocol has one."""
    for signal, value in link.light_on():
        yield from bps.mv(signal, value)
    yield from bps.mv(link.added_loss, 0.0)
    if align and needs_alignment(link):
        yield from align_polarization(link, Descent(volts_per_pi=link.receiver.volts_per_pi))


def needs_alignment(link: Any) -> bool:
    """Whether the receiver has a polarization controller."""
    return hasattr(link, "polarization_controller")


def acquire_point(
    link: Any,
    *,
    detections: float,
    max_duration_s: float,
    keep_tags: bool,
    devices: Sequence[Any] = (),
) -> MsgGenerator[None]:
    """One acquisition as one event of the primary stream, with fresh readings of `devices` beside it."""
    yield from bps.mv(link.detections, detections)
    yield from bps.mv(link.max_duration, max_duration_s)
    yield from bps.mv(link.keep_tags, int(keep_tags))
    yield from trigger_in_turn([device for device in devices if device is not link.tagger])
    yield from trigger_in_turn([link])
    yield from read_together([link, *devices], stream="primary")
    yield from bps.mv(link.keep_tags, 0)
    if keep_tags:
        yield from bps.collect(link.tagger.tags, name="tags")


def with_loss_put_back(plan: MsgGenerator[Any], link: Any) -> MsgGenerator[Any]:
    """The added loss is taken away again, whatever happens."""
    return (yield from bpp.finalize_wrapper(plan, lambda: bps.mv(link.added_loss, 0.0)))
