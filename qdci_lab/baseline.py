"""Readings of every device at the beginning and at the end of each run."""

from typing import Any

import bluesky.plan_stubs as bps
from bluesky.preprocessors import SupplementalData, plan_mutator
from bluesky.utils import Msg, MsgGenerator

STREAM = "baseline"


class Baseline(SupplementalData):
    """Bluesky's supplement with the devices measured one after the other, so that equal seeds give equal runs.

    At the end of a run that failed, devices are read but not measured anew: one of them may be why it failed, and
    what each reported last, with its time, is what is known.
    """

    _in_event = False

    def __call__(self, plan: MsgGenerator[Any]) -> MsgGenerator[Any]:
        """The plan with the baseline, the monitors and the flyers."""
        self._in_event = False
        inner = SupplementalData(monitors=self.monitors, flyers=self.flyers)(plan)
        return (yield from plan_mutator(inner, self._insert) if self.baseline else inner)

    def _insert(self, message: Msg) -> tuple[MsgGenerator[Any] | None, MsgGenerator[Any] | None]:
        if message.command in ("create", "save", "drop"):
            self._in_event = message.command == "create"
        if message.command == "open_run":
            return None, self._readings(anew=True)
        if message.command == "close_run":
            return self._before(message), None
        return None, None

    def _before(self, message: Msg) -> MsgGenerator[Any]:
        yield from self._readings(anew=message.kwargs.get("exit_status") in (None, "success"))
        return (yield message)

    def _readings(self, *, anew: bool) -> MsgGenerator[None]:
        if self._in_event:  # what failed, failed between two readings of one event
            yield from bps.drop()
        if anew:
            for device in self.baseline:
                yield from bps.trigger(device, wait=True)
        yield from bps.create(STREAM)
        for device in self.baseline:
            yield from bps.read(device)
        yield from bps.save()
