"""A sweep whose points are counted in its file, so that one that was cut short can be continued.

A plan hands its points to `sweep`. Every event of the primary stream then carries the number of its point, and a
stream of its own says which points are complete. `resumed` wraps the same plan: what is complete is passed over.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.utils import Msg, MsgGenerator

from qdci_lab.errors import RecordError
from qdci_lab.record.parts import LABEL, NUMBER, RESUMES, SWEEP, complete_points, link_to
from qdci_lab.record.replay import Run

Point = TypeVar("Point")


@dataclass
class EarlierQuestion:
    """Asked by a plan that goes by the clock; whoever resumes the sweep answers with what is told of earlier parts."""

    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class PointQuestion:
    """Asked before each point, as the argument of a message without effect; whoever resumes the sweep answers it."""

    number: int
    label: str
    recorded: bool = False


@dataclass(frozen=True)
class PointMark:
    """The number of one point, counted from 1, and its label if it has one, as bluesky reads it.

    Each point has a mark of its own, because a pause may take the plan back into the point before; marks of one name
    are equal, so that bluesky takes them for one device.
    """

    name: str
    number: int = field(compare=False)
    label: str | None = field(default=None, compare=False)
    parent: None = field(default=None, compare=False)

    def read(self) -> dict[str, Any]:
        """The point."""
        label = {} if self.label is None else {LABEL: self.label}
        now_s = time.time()
        return {
            key: {"value": value, "timestamp": now_s} for key, value in {NUMBER: self.number, **label}.items()
        }

    def describe(self) -> dict[str, Any]:
        """A count from 1, and a text."""
        number = {"source": "plan", "dtype": "integer", "shape": [], "units": "1"}
        label = {LABEL: {"source": "plan", "dtype": "string", "shape": []}}
        return {NUMBER: number, **({} if self.label is None else label)}

    def read_configuration(self) -> dict[str, Any]:
        """There is none."""
        return {}

    def describe_configuration(self) -> dict[str, Any]:
        """There is none."""
        return {}


def sweep(
    points: Iterable[Point],
    measure: Callable[[Point], MsgGenerator[Any]],
    *,
    label: Callable[[Point], str] = str,
    stream: str | Sequence[str] = "primary",
    beside: Sequence[Any] = (),
) -> MsgGenerator[None]:
    """Measure each point after a checkpoint; `label` names a point so that a resumed sweep can be told from another.

    Every event of `stream`, or of several, gets the point's number (`sweep_point`), and after each point an event of
    the stream `sweep` says that it is complete, with what the devices `beside` say. To be used once in a run.
    """
    numbered = (stream,) if isinstance(stream, str) else tuple(stream)
    for number, point in enumerate(points, start=1):
        question = PointQuestion(number, label(point))
        yield Msg("null", None, question)
        if question.recorded:
            continue
        yield from bps.checkpoint()
        yield from _numbered(measure(point), PointMark("sweep_row", number), numbered)
        yield from bps.create(SWEEP)
        for device in (PointMark("sweep_done", number, question.label), *beside):
            yield from bps.read(device)
        yield from bps.save()
    yield from bps.checkpoint()  # a pause while the run is closed must not go back into it


def earlier_parts() -> MsgGenerator[Mapping[str, Any]]:
    """What the parts of a sweep before this one came to; empty for the first.

    As `record.parts.link_to` tells it, and where the last of them is (`path`).
    """
    question = EarlierQuestion()
    yield Msg("null", None, question)
    return question.answer


def resumed(plan: MsgGenerator[Any], before: Run) -> MsgGenerator[Any]:
    """The plan, passing over the points that the part `before` and those before it hold; its start document says so.

    RecordError when a point of the same number has another label: then it is not the same sweep.
    """
    recorded, metadata = complete_points(before), link_to(before)

    def answered(message: Msg) -> Msg:
        if message.command == "open_run":
            return _continuing(message, metadata, len(recorded))
        if message.command == "null" and message.args and isinstance(message.args[0], PointQuestion):
            _answer(message.args[0], recorded)
        elif message.command == "null" and message.args and isinstance(message.args[0], EarlierQuestion):
            message.args[0].answer = {**metadata, "path": before.path}
        return message

    return (yield from bpp.msg_mutator(plan, answered))


def _answer(question: PointQuestion, recorded: Mapping[int, str]) -> None:
    found = recorded.get(question.number)
    if found not in (None, question.label):
        raise RecordError(
            f"point {question.number} of this sweep is {question.label}, of the recorded one {found}: "
            f"it is another sweep, which cannot be continued"
        )
    question.recorded = found is not None


def _continuing(message: Msg, metadata: Mapping[str, Any], passed_over: int) -> Msg:
    """`open_run` of a part: what it resumes, and how many points are left to do."""
    kwargs = {**message.kwargs, RESUMES: dict(metadata)}
    if "num_points" in kwargs:
        kwargs["num_points"] -= passed_over
    return message._replace(kwargs=kwargs)


def _numbered(plan: MsgGenerator[Any], mark: PointMark, streams: Collection[str]) -> MsgGenerator[Any]:
    """The plan, with the mark read into each event of some streams."""
    current = None

    def read_before_save(message: Msg) -> tuple[MsgGenerator[Any] | None, None]:
        nonlocal current
        if message.command == "create":
            current = message.kwargs.get("name")
        if message.command != "save" or current not in streams:
            return None, None
        current = None
        return _reading(mark, message), None

    return (yield from bpp.plan_mutator(plan, read_before_save))


def _reading(mark: PointMark, save: Msg) -> MsgGenerator[Any]:
    yield Msg("read", mark)
    return (yield save)
