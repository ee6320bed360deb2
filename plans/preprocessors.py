"""What every experiment is wrapped in: failures told in their own words, and a bench that is left safe."""

from collections.abc import Mapping, Sequence
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import FailedStatus, Msg, MsgGenerator

from qdci_lab.device import LabDevice
from qdci_lab.safety import FormerPositions, SafeState

SAFE_STATE = "safe state"
FORMER_POSITIONS = "former positions"
SAFE_STATE_TIMEOUT_S = 30.0


def explained(plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
    """Raise what an instrument reported instead of bluesky's `FailedStatus`, so that the stop document names it."""
    try:
        return (yield from plan)
    except FailedStatus as error:
        cause = error.__cause__
        if cause is None:
            raise
        raise cause from error


def left_safe(
    plan: MsgGenerator[Any], devices: Sequence[LabDevice], moved: Sequence[Any] = ()
) -> MsgGenerator[Any]:
    """Bring every device into its safe state afterwards, whatever happened, the others too if one is lost.

    Signals in `moved` then go back to where they stood before the plan: light is off by the time attenuators open.
    """
    former = FormerPositions(moved)
    return (yield from bpp.finalize_wrapper(plan, lambda: _make_safe(devices, former)))


def experiment(
    plan: MsgGenerator[Any],
    devices: Sequence[LabDevice],
    metadata: Mapping[str, Any],
    *,
    moved: Sequence[Any] = (),
) -> MsgGenerator[Any]:
    """A plan as one run: devices staged, failures explained in the stop document too, the bench left safe.

    What is in `moved` is brought back to where it stood before, after a failure as well.
    """
    run = bpp.run_wrapper(explained(plan), md=dict(metadata))
    return (yield from explained(left_safe(bpp.stage_wrapper(run, devices), devices, moved)))


def _make_safe(devices: Sequence[LabDevice], former: FormerPositions) -> MsgGenerator[None]:
    yield Msg("set", SafeState(devices), True, group=SAFE_STATE)
    yield from bps.wait(SAFE_STATE, timeout=SAFE_STATE_TIMEOUT_S)
    yield Msg("set", former, True, group=FORMER_POSITIONS)
    yield from bps.wait(FORMER_POSITIONS, timeout=SAFE_STATE_TIMEOUT_S)
