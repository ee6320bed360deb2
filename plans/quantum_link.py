"""Steps that experiments on a quantum link share, whatever its protocol.

A link has `parts`, `connections(core)`, `waveforms()`, `signal_attenuation_db` and signals `detections`,
`max_duration`, `keep_tags`; `trigger` measures. One with classical light beside it has `launch_power`.
"""

from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from plans.stubs import read_together, trigger_in_turn


def link_up(link: Any, core: int, *, detour: bool = False) -> MsgGenerator[None]:
    """Quantum light on, classical light off: the code in the generator, the core in the switch, mu at the input.

    With `detour` the light passes the probe's attenuator between fibre and receiver.
    """
    if getattr(link, "launch_voa", None) is not None:
        yield from bps.mv(link.launch_voa.shutter_open, 0)
    connections = link.connections(core, detour=True) if detour else link.connections(core)
    yield from bps.mv(link.switch.connections, connections)
    yield from bps.mv(link.voa.attenuation, link.signal_attenuation_db)
    yield from bps.mv(link.awg, link.waveforms())
    yield from bps.mv(link.voa.shutter_open, 1)


def classical_light_on(link: Any) -> MsgGenerator[None]:
    """Classical light on, at the strongest attenuation; the launch power is set afterwards."""
    low_db, high_db = link.launch_voa.attenuation.limits
    yield from bps.mv(link.launch_voa.attenuation, max(low_db, high_db))
    yield from bps.mv(link.laser.emission, 1)
    yield from bps.mv(link.amplifier.output_power_setpoint, link.classical.amplifier_power_dbm)
    yield from bps.mv(link.amplifier.emission, 1)
    yield from bps.mv(link.launch_voa.shutter_open, 1)


def measure_link(
    link: Any, detections: float, max_duration_s: float, *, keep_tags: bool, beside: tuple[Any, ...] = ()
) -> MsgGenerator[None]:
    """One point: every device measured, one acquisition, all in one event, with what is `beside` as well."""
    yield from bps.mv(link.detections, detections)
    yield from bps.mv(link.max_duration, max_duration_s)
    yield from bps.mv(link.keep_tags, int(keep_tags))
    yield from trigger_in_turn([part for part in link.parts if part is not link.tagger])
    yield from trigger_in_turn([link])
    yield from read_together([*link.everything, *beside], stream="primary")
    yield from bps.mv(link.keep_tags, 0)
    if keep_tags:
        yield from bps.collect(link.tagger.tags, name="tags")


def moved_by_link(link: Any) -> tuple[Any, ...]:
    """What `link_up` and `classical_light_on` move and an experiment brings back.

    The squeezers of the polarization controller stay where the alignment has left them: that is its result.
    """
    places = (("voa", "attenuation"), ("launch_voa", "attenuation"), ("switch", "connections"))
    present = [(getattr(link, part, None), signal) for part, signal in places]
    own = [link.reuse_lock] if hasattr(link, "reuse_lock") else []
    return (*(getattr(device, signal) for device, signal in present if device is not None), *own)


def check_acquisition(link: Any, detections: float, core: int, max_duration_s: float) -> None:
    """LimitError for what cannot be acquired; nothing has moved yet."""
    link.detections.check_value(detections)
    link.check_core(core)
    link.max_duration.check_value(max_duration_s)
