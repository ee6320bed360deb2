"""A recorded run analysed once more from its raw time tags, and compared number by number with what was recorded."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qdci_lab.analysis.bb84 import Bb84Settings, analyse
from qdci_lab.analysis.cow_tags import CowSettings, TagBlock, analyse_cow
from qdci_lab.analysis.synchronisation import Synchronisation
from qdci_lab.analysis.three_state_result import three_state_scalars
from qdci_lab.errors import RecordError
from qdci_lab.record.parts import NUMBER, parts_of, points_of
from qdci_lab.record.replay import Run
from qdci_lab.units import seconds_to_ps

LINK = "link"
DECOY_BB84 = "decoy-bb84"
Recompute = Callable[[Mapping[str, Any], Iterator[TagBlock], int, Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Difference:
    """A number that the raw data do not give again."""

    point: int
    key: str
    recorded: Any
    recomputed: Any
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}, point {self.point}" if self.file else f"point {self.point}"
        return f"{place}, {self.key}: recorded {self.recorded!r}, from the raw tags {self.recomputed!r}"


def reanalyse(run: Run) -> tuple[int, list[Difference]]:
    """How many numbers were compared, and those that differ in any bit; RecordError if the run holds no tags.

    Of a sweep that was continued, every part is compared, without the points that were measured anew in a later one.
    """
    compared = 0
    differences: list[Difference] = []
    for part in parts_of(run):
        whole_points = None if part is run else points_of(part).keys()
        found = reanalyse_part(part, whole_points)
        compared += found[0]
        differences += found[1]
    return compared, differences


def reanalyse_part(run: Run, whole_points: Collection[int] | None = None) -> tuple[int, list[Difference]]:
    """The same for one file, of a sweep only those points if they are given."""
    settings = stored_settings(run)
    compared = 0
    differences: list[Difference] = []
    for number, recomputed, recorded in _points(run, settings, whole_points):
        for key, value in recomputed.items():
            compared += 1
            if not _same(recorded[f"{LINK}_{key}"], value):
                differences.append(Difference(number, key, recorded[f"{LINK}_{key}"], value, run.path.name))
    return compared, differences


def stored_settings(run: Run) -> Mapping[str, Any]:
    """The analysis's settings as the run's own configuration has them; `analysis` names a protocol other than BB84."""
    return json.loads(run.configuration(LINK)[f"{LINK}_analysis_settings"])


def link_settings(run: Run) -> Bb84Settings:
    """What the analysis was told at the time: code, protocol, receiver; from the run's own configuration."""
    return Bb84Settings.from_dict(
        {name: value for name, value in stored_settings(run).items() if name != "analysis"}
    )


def _points(
    run: Run, settings: Mapping[str, Any], whole_points: Collection[int] | None
) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
    for event in run.events("primary"):
        data = event["data"]
        if whole_points is not None and data.get(NUMBER, 0) not in whole_points:
            continue
        first, count = int(data[f"{LINK}_first_tag"]), int(data[f"{LINK}_tag_count"])
        if first < 0:
            raise RecordError(f"{run.path.name}: the time tags of point {event['seq_num']} were not kept")
        blocks = run.tags(first, count)
        yield event["seq_num"], _recomputed(settings, blocks, data), data


def _recomputed(
    settings: Mapping[str, Any], blocks: Iterator[TagBlock], data: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The numbers of one point, from its tags."""
    protocol = settings.get("analysis", DECOY_BB84)
    if protocol not in _ANALYSES:
        raise RecordError(f"the run was analysed as {protocol!r}; this version knows {', '.join(_ANALYSES)}")
    rest = {name: value for name, value in settings.items() if name != "analysis"}
    return _ANALYSES[protocol](rest, blocks, seconds_to_ps(float(data[f"{LINK}_duration"])), data)


def _decoy_bb84(
    settings: Mapping[str, Any], blocks: Iterator[TagBlock], duration_ps: int, data: Mapping[str, Any]
) -> Mapping[str, Any]:
    then = _as_then(Bb84Settings.from_dict(settings), data)
    return analyse(blocks, then, duration_ps, _lock_given(data)).to_dict()


def _three_state(
    settings: Mapping[str, Any], blocks: Iterator[TagBlock], duration_ps: int, data: Mapping[str, Any]
) -> Mapping[str, Any]:
    then = Bb84Settings.from_dict(settings)
    result = analyse(blocks, then, duration_ps, _lock_given(data))
    return three_state_scalars(result, then.protocol, then.receiver)


def _coherent_one_way(
    settings: Mapping[str, Any], blocks: Iterator[TagBlock], duration_ps: int, data: Mapping[str, Any]
) -> Mapping[str, Any]:
    told_loss_db = float(data[f"{LINK}_told_loss"])
    result = analyse_cow(blocks, CowSettings.from_dict(settings), duration_ps, told_loss_db).to_dict()
    return {key: value for key, value in result.items() if not isinstance(value, str)}


def _as_then(settings: Bb84Settings, data: Mapping[str, Any]) -> Bb84Settings:
    """The settings with the gate and the projected block that this point was measured with."""
    gate, block = f"{LINK}_gate_width", f"{LINK}_projected_block"
    if gate in data:
        settings = replace(
            settings, receiver=replace(settings.receiver, gate_width_ps=float(data[gate]) or None)
        )
    if block in data:
        settings = replace(settings, projected_n_z=float(data[block]) or None)
    return settings


def _lock_given(data: Mapping[str, Any]) -> Synchronisation | None:
    """The lock that the acquisition was given to start with; None if it searched for one."""
    text = str(data.get(f"{LINK}_lock_given", ""))
    return Synchronisation.from_dict(json.loads(text)) if text else None


def _same(recorded: Any, recomputed: Any) -> bool:
    """Equal to the last bit; not-a-number equals itself."""
    return (
        np.asarray(recorded, dtype=np.float64).tobytes() == np.asarray(recomputed, dtype=np.float64).tobytes()
    )


_ANALYSES: Mapping[str, Recompute] = {
    DECOY_BB84: _decoy_bb84,
    "three-state": _three_state,
    "coherent-one-way": _coherent_one_way,
}
