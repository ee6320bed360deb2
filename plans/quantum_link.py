"""Steps that experiments on a quantum link share: light on, one point measured, and what is brought back afterwards.

A link of any protocol has `light_on()`, `waveforms()`, `signal_attenuation_db`, `parts`, `everything` and signals
`detections`, `max_duration`, `keep_tags`; `trigger` measures. One whose channel can be made longer has `added_loss`,
one in switched fibre cores `connections(core)`, and one with classical light beside it `launch_power`.
"""

from collections.abc import Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import MsgGenerator

from plans.polarization import Descent, align_polarization
from plans.stubs import read_together, set_in_turn, trigger_in_turn


def prepare_link(link: Any, *, align: bool) -> MsgGenerator[None]:
    """Quantum light on at no added loss, and the polarization aligned if the protocol has one."""
    yield from set_in_turn(link.light_on())
    yield from bps.mv(link.added_loss, 0.0)
    if align and hasattr(link, "polarization_controller"):
        yield from align_polarization(link, Descent(volts_per_pi=link.receiver.volts_per_pi))


def link_up(link: Any, core: int, *, detour: bool = False) -> MsgGenerator[None]:
    """Quantum light on, classical light off: the code in the generator, the core in the switch, mu at the input.

    With `detour` the light passes the probe's attenuator between fibre and receiver.
    """
    if getattr(link, "launch_voa", None) is not None:
        yield from set_in_turn(link.launch_voa.blocking())
    connections = link.connections(core, detour=True) if detour else link.connections(core)
    yield from bps.mv(link.switch.connections, connections)
    yield from bps.mv(link.voa.attenuation, link.signal_attenuation_db)
    yield from bps.mv(link.awg, link.waveforms())
    yield from set_in_turn(link.voa.passing())


def classical_light_on(link: Any) -> MsgGenerator[None]:
    """Classical light on, at the strongest attenuation; the launch power is set afterwards."""
    low_db, high_db = link.launch_voa.attenuation.limits
    yield from bps.mv(link.launch_voa.attenuation, max(low_db, high_db))
    yield from bps.mv(link.laser.emission, 1)
    yield from bps.mv(link.amplifier.output_power_setpoint, link.classical.amplifier_power_dbm)
    yield from bps.mv(link.amplifier.emission, 1)
    yield from set_in_turn(link.launch_voa.passing())


def measure_link(
    link: Any, detections: float, max_duration_s: float, *, keep_tags: bool, beside: Sequence[Any] = ()
) -> MsgGenerator[None]:
    """One point: every device measured, one acquisition, all in one event, with what is `beside` as well."""
    yield from bps.mv(link.detections, detections)
    yield from bps.mv(link.max_duration, max_duration_s)
    yield from bps.mv(link.keep_tags, int(keep_tags))
    yield from trigger_in_turn([device for device in link.parts if device is not link.tagger])
    yield from trigger_in_turn([link])
    yield from read_together([link, *link.parts, *beside], stream="primary")
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


def with_loss_put_back(plan: MsgGenerator[Any], link: Any) -> MsgGenerator[Any]:
    """The added loss is taken away again, whatever happens."""
    return (yield from bpp.finalize_wrapper(plan, lambda: bps.mv(link.added_loss, 0.0)))


def check_acquisition(link: Any, detections: float, core: int, max_duration_s: float) -> None:
    """LimitError for what cannot be acquired; nothing has moved yet."""
    link.detections.check_value(detections)
    link.check_core(core)
    link.max_duration.check_value(max_duration_s)
