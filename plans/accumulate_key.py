"""Key of two links that meet in a trusted node, accumulated over days (Clason et al., Fig. 3(e)).

One link is measured here, as in `core_switching`; the other by the same plan on its own bench, in its own town. What
that one has made is read from its run's file while it is being written. The node relays a key as soon as both links
have one, and what the richer link makes beyond that waits in its buffer, from which the relay goes on when that link
falls silent.

Time is what was spent measuring: a run that is continued begins with what its earlier parts have banked and relayed.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bluesky.utils import MsgGenerator

from plans.core_switching import CURRENTS_MA, SECONDS_PER_HOUR, Campaign
from plans.key_figure import RELAY, accumulation_told, draw_accumulation
from plans.preprocessors import experiment
from plans.recorded_key import NOTHING, RecordedKey, key_history
from plans.stubs import Findings, read_together, trigger_in_turn
from qdci_lab.analysis.key_relay import KeyDeposits, relay
from qdci_lab.clock import LabClock
from qdci_lab.progress import Column
from qdci_lab.record.parts import ELAPSED, NUMBER, JoinedRun
from qdci_lab.report import Report
from qdci_lab.sweep import earlier_parts

PATCH = (0,)


def accumulate_key(
    link: Any,
    *,
    relay_with: str = "",
    duration_h: float = 92.0,
    cores: Sequence[int] = (),
    currents_ma: Sequence[float] = (),
    blocks: int = 50,
    block_detections: float = 4.1e5,
    max_block_s: float = 900.0,
    key_bits: int = 256,
    align: bool = True,
) -> MsgGenerator[None]:
    """Accumulate key for `duration_h` of lab time, and relay it with what another link has made.

    `relay_with` is the other run's file, finished or not, or a folder whose newest run is taken; without it there is
    nothing to relay with, and the run is what another one relays with. `cores`, `currents_ma`, `blocks`,
    `block_detections` and `max_block_s` are those of `core_switching`; not given, the cores that the switch shares, and
    the published currents where there is a noise source. `key_bits` is the length of a relayed key. The relay follows
    at the end of each step, and the last step waits for the other run. LimitError, ValueError or RecordError, before
    anything moves, for what cannot be done.
    """
    chosen_cores = tuple(int(core) for core in cores) or tuple(link.routing.switched_cores) or PATCH
    default_ma = (0.0,) if link.noise_source is None else CURRENTS_MA
    campaign = Campaign(
        link, chosen_cores, tuple(map(float, currents_ma)) or default_ma, blocks, float(block_detections),
        duration_h * SECONDS_PER_HOUR, float(max_block_s), align, keep_tags=False,
    )  # fmt: skip
    campaign.check()
    node = _Node(campaign, RecordedKey(relay_with) if relay_with else None, key_bits)
    relay(NOTHING, NOTHING, key_bits=key_bits)  # ValueError for a length that is none
    metadata = {
        "plan_name": "accumulate_key",
        "figure": "Clason et al., Fig. 3(e)",
        "relayed_with": node.other.description if node.other else "",
        "plan_args": {
            "relay_with": relay_with, "duration_h": float(duration_h), "cores": list(campaign.cores),
            "currents_ma": list(campaign.currents_ma), "blocks": blocks,
            "block_detections": campaign.block_detections, "max_block_s": campaign.max_block_s,
            "key_bits": key_bits, "align": align,
        },
        "plot": {"x": "relay_time", "y": ["relay_own", "relay_other", "relay_end_to_end"]},
    }  # fmt: skip
    campaign.on_block = node.bank
    campaign.at_step_end = node.follow
    campaign.beside = (node.state,)
    campaign.streams += (RELAY,)

    def run() -> MsgGenerator[None]:
        yield from node.go_on()
        yield from campaign.run()

    moved = [link.voa.attenuation, *(part.current for part in campaign.noise[:1])]
    return (yield from experiment(run(), link.parts, metadata, moved=moved))


@dataclass
class _Node:
    """The trusted node: our key as it comes, the other link's as its file says, and what was relayed so far."""

    campaign: Campaign
    other: RecordedKey | None
    key_bits: int
    times_s: list[float] = field(default_factory=list)
    bits: list[float] = field(default_factory=list)
    told_s: float = -math.inf
    """Up to when deposits of both links are in the file already, or in that of a part before."""
    began_unix_s: float = field(default_factory=time.time)
    """When the first part began."""

    def __post_init__(self) -> None:
        self.state = Findings("relay")
        self._event = Findings("relay")
        self._keep(self.state, 0.0, (0, 0, 0), NOTHING)

    def go_on(self) -> MsgGenerator[None]:
        """Begin with what the parts before this one have banked; nothing is left of steps that they cut short."""
        earlier = yield from earlier_parts()
        if not earlier:
            return
        history = key_history(earlier["path"])
        banked = history.deposits.until(float(earlier["elapsed_s"]))
        self.times_s, self.bits = banked.times_s.tolist(), banked.bits.tolist()
        self.began_unix_s = history.began_unix_s
        complete = {number for number, _ in earlier["points"]}
        rows = [event["data"] for event in JoinedRun(earlier["path"]).events()]
        self.told_s = max(float(row["relay_time"]) for row in rows if row[NUMBER] in complete)

    def bank(self, reading: Mapping[str, Any]) -> None:
        """Take in a block of our own link; an empty reading, of a rehearsal, is none."""
        name = self.campaign.link.name
        if reading:
            self.times_s.append(float(reading[ELAPSED]["value"]))
            key_bits = float(reading[f"{name}_key_length_rusca_2018"]["value"])
            self.bits.append(float(np.floor(max(key_bits, 0.0))))

    def follow(self) -> MsgGenerator[None]:
        """Relay as far as both links are known; the last time wait until the other is known to our end."""
        own = KeyDeposits(np.array(self.times_s), np.array(self.bits))
        own_until_s = self.times_s[-1] if self.times_s else 0.0
        theirs, until_s = NOTHING, own_until_s
        if self.other is not None:
            self.other.shift_s = self._shift_s(self.other)
            self.other.wanted_s = own_until_s if self.campaign.is_over else 0.0
            yield from trigger_in_turn([self.other])
            theirs, until_s = self.other.deposits, min(own_until_s, self.other.until_s)
        history = relay(own.until(until_s), theirs.until(until_s), key_bits=self.key_bits)
        for index in np.flatnonzero(history.times_s > self.told_s):
            sums = (history.left_bits[index], history.right_bits[index], history.end_to_end_bits[index])
            self._keep(self._event, float(history.times_s[index]), sums, own)
            yield from read_together([self._event], stream=RELAY)
        self.told_s = max(self.told_s, until_s)
        last = self._sums(own, theirs.until(until_s), history.end_to_end_bits)
        self._keep(self.state, until_s, last, own)

    @staticmethod
    def _sums(own: KeyDeposits, theirs: KeyDeposits, relayed: Any) -> tuple[int, int, int]:
        """Our whole key, the other's as far as both are known, and what was relayed."""
        return own.total, theirs.total, int(relayed[-1]) if len(relayed) else 0

    def _shift_s(self, other: RecordedKey) -> float:
        """Simulated benches begin together at time 0; real ones when their first parts did, to about a minute."""
        simulated = isinstance(self.campaign.link.tagger.clock, LabClock)
        if simulated and other.start.get("source") == "twin":
            return 0.0
        return other.history.began_unix_s - self.began_unix_s

    @staticmethod
    def _keep(found: Findings, time_s: float, sums: tuple[int, int, int], own: KeyDeposits) -> None:
        mine, theirs, relayed = (int(bits) for bits in sums)
        gap_s, gap_end_s = own.longest_gap()
        found.keep({
            "time": (time_s, "s"), "own": (mine, "bit"), "other": (theirs, "bit"), "end_to_end": (relayed, "bit"),
            "own_surplus": (mine - relayed, "bit"), "other_surplus": (theirs - relayed, "bit"),
            "longest_gap": (gap_s, "s"), "gap_end": (gap_end_s, "s"),
        })  # fmt: skip


REPORT = Report(
    columns=(
        Column("step_core", "core", "{:.0f}"),
        Column("step_current", "LED mA", "{:.1f}"),
        Column("step_blocks", "blocks", "{:.0f}"),
        Column("relay_time", "relayed to h", "{:.2f}", 1 / SECONDS_PER_HOUR),
        Column("step_skr", "SKR b/s", "{:.1f}", 1.0, "step_skr_spread"),
        Column("relay_own", "own Mbit", "{:.3f}", 1e-6),
        Column("relay_other", "other Mbit", "{:.3f}", 1e-6),
        Column("relay_end_to_end", "end to end", "{:.3f}", 1e-6),
        Column("relay_own_surplus", "surplus", "{:.3f}", 1e-6),
    ),
    points={
        "core": "step_core",
        "current_ma": "step_current",
        "blocks": "step_blocks",
        "skr_bps": "step_skr",
        "qber_z": "step_qber_z",
        "qber_x": "step_qber_x",
        "lab_time_s": "step_lab_time",
        "relayed_until_s": "relay_time",
        "own_bits": "relay_own",
        "other_bits": "relay_other",
        "end_to_end_bits": "relay_end_to_end",
        "own_surplus_bits": "relay_own_surplus",
        "other_surplus_bits": "relay_other_surplus",
        "longest_gap_s": "relay_longest_gap",
        "gap_end_s": "relay_gap_end",
    },
    draw=draw_accumulation,
    conclude=accumulation_told,
)
