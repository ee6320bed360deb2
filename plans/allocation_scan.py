"""Which core for the quantum signal, and from which end the classical light, at which power (Wu et al.; Ji et al. 2.3).

The switch puts the quantum signal into one core after the other and the classical light into all others, against the
signal or with it. Light that scatters over from other cores errs in half of its clicks: at equal signal the allocation
with less of it has more key, and bears more classical power. How much more, follows from the errors' slope with power.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from plans.allocation_figure import draw_allocations
from plans.allocations import COUNTER, DIRECTIONS, PROTOCOL, allocations_of, told
from plans.polarization import Descent, align_polarization
from plans.preprocessors import experiment
from plans.quantum_link import check_acquisition, classical_light_on, link_up, measure_link, moved_by_link
from plans.stubs import Findings, set_in_turn
from qdci_lab.progress import Column
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

CORES = (1, 2, 3, 4)
LAUNCH_POWERS_DBM = (6.0, 13.0, 16.0, 18.0, 19.5)


def allocation_scan(
    link: Any,
    *,
    cores: Sequence[int] = CORES,
    directions: Sequence[str] = DIRECTIONS,
    launch_powers_dbm: Sequence[float] = LAUNCH_POWERS_DBM,
    detections: float = 3e6,
    block: float = 1e8,
    align: bool = True,
    keep_tags: bool = False,
    max_duration_s: float = 600.0,
) -> MsgGenerator[None]:
    """Key rate for each quantum core, direction of the classical light and launch power into each of the other cores.

    `directions` are "counter" (against the quantum signal) and "co" (with it). `detections` sifted key-basis detections
    make a point, which lasts no longer than `max_duration_s` of lab time; key rates are those of a block of `block`
    detections at the measured rates, 0 for what was measured alone. With `align` the polarization is aligned
    anew for every core and direction, the classical light off. At least two powers are needed. LimitError or
    ValueError, before anything moves, for what cannot be done; the switch must lead the classical light.
    """
    scan = _Scan(
        link, [int(core) for core in cores], list(directions), sorted(float(power) for power in launch_powers_dbm),
        float(detections), float(block), align, keep_tags, float(max_duration_s),
    )  # fmt: skip
    scan.check()
    points = list(itertools.product(scan.cores, scan.directions, alternating(scan.powers_dbm)))
    metadata = {
        "plan_name": "allocation_scan",
        "figure": "Wu et al.; Ji et al., section 2.3",
        "num_points": len(points),
        "plan_args": {
            "cores": scan.cores, "directions": scan.directions, "launch_powers_dbm": scan.powers_dbm,
            "detections": scan.detections, "block": scan.block, "align": align, "keep_tags": keep_tags,
            "max_duration_s": scan.max_duration_s,
        },
        "hints": {"dimensions": [([link.launch_power.name], "primary")]},
        "plot": {"x": link.launch_power.name, "y": [f"{link.name}_skr_rusca_2018", f"{link.name}_qber_z"]},
    }  # fmt: skip

    def run() -> MsgGenerator[None]:
        yield from link_up(link, scan.cores[0])
        yield from bps.mv(link.projected_block, scan.block)
        if keep_tags:
            yield from bps.declare_stream(link.tagger.tags, name="tags", collect=True)
        yield from classical_light_on(link)
        yield from sweep(points, scan.measure, label=_label)

    moved = (*moved_by_link(link), link.projected_block)
    return (yield from experiment(run(), link.parts, metadata, moved=moved))


@dataclass
class _Scan:
    """The run's arguments, and where the light is led."""

    link: Any
    cores: list[int]
    directions: list[str]
    powers_dbm: list[float]
    detections: float
    block: float
    align: bool
    keep_tags: bool
    max_duration_s: float

    def __post_init__(self) -> None:
        self.found = Findings("allocation")
        self.placed: tuple[int, str] | None = None

    def check(self) -> None:
        """LimitError or ValueError for an argument that cannot be carried out; nothing has moved yet."""
        link = self.link
        if not self.cores or not self.directions:
            raise ValueError("cores, directions: give at least one of each")
        if len(set(self.powers_dbm)) < 2:
            raise ValueError(
                "launch_powers_dbm: give at least two different ones, for the slope between them"
            )
        link.projected_block.check_value(self.block)
        for power_dbm in self.powers_dbm:
            link.launch_power.check_value(power_dbm)
        for direction in self.directions:
            link.check_direction(direction)
        for core in self.cores:
            check_acquisition(link, self.detections, core, self.max_duration_s)

    def measure(self, point: tuple[int, str, float]) -> MsgGenerator[None]:
        """One launch power; the light is led into other cores and ends first, if it has to be."""
        core, direction, power_dbm = point
        link, protocol = self.link, self.link.settings.protocol
        rate_hz = link.transmitter.repetition_rate_hz
        if self.placed != (core, direction):
            yield from self._place(core, direction)
        yield from bps.mv(link.launch_power, power_dbm)
        self.found.keep({
            "core": (core, "1"), "against": (float(direction == COUNTER), "1"), "power": (power_dbm, "dBm"),
            "block": (self.block or self.detections, "count"), "pulse_rate": (rate_hz, "1/s"),
            "wavelength": (link.transmitter.wavelength_nm, "nm"),
            **{name: (getattr(protocol, name), "1") for name in PROTOCOL},
        })  # fmt: skip
        yield from measure_link(
            link, self.detections, self.max_duration_s, keep_tags=self.keep_tags, beside=(self.found,)
        )

    def _place(self, core: int, direction: str) -> MsgGenerator[None]:
        """The classical light off while the switch moves and the polarization is aligned."""
        link = self.link
        yield from set_in_turn(link.launch_voa.blocking())
        yield from bps.mv(link.switch.connections, link.connections(core, direction=direction))
        if self.align:
            yield from align_polarization(link, Descent(volts_per_pi=link.receiver.volts_per_pi))
        yield from set_in_turn(link.launch_voa.passing())
        self.placed = (core, direction)


def alternating(values: Sequence[float]) -> list[float]:
    """Highest, lowest, next highest, ...: so that an alignment that drifts does not look like a slope."""
    left = sorted(values)
    return [left.pop(-1 if turn % 2 == 0 else 0) for turn in range(len(left))]


def _label(point: tuple[int, str, float]) -> str:
    core, direction, power_dbm = point
    return f"core {core}, {direction}, {power_dbm:g} dBm"


REPORT = Report(
    columns=(
        Column("allocation_core", "core", "{:.0f}"),
        Column("allocation_against", "counter", "{:.0f}"),
        Column("link_launch_power", "launch dBm", "{:.2f}"),
        Column("link_n_z", "n_Z", "{:.3g}"),
        Column("link_qber_z", "QBER Z %", "{:.3f}", 100.0),
        Column("link_qber_x", "QBER X %", "{:.3f}", 100.0),
        Column("link_skr_rusca_2018", "SKR kb/s", "{:.2f}", 1e-3, "link_skr_rusca_2018_error"),
        Column("link_skr_wiesemann_2024", "Wiesemann kb/s", "{:.2f}", 1e-3, "link_skr_wiesemann_2024_error"),
    ),
    points={
        "core": "allocation_core",
        "counter_propagating": "allocation_against",
        "launch_power_dbm": "link_launch_power",
        "skr_bps": "link_skr_rusca_2018",
        "skr_error_bps": "link_skr_rusca_2018_error",
        "qber_z": "link_qber_z",
        "qber_x": "link_qber_x",
        "n_z": "link_n_z",
        "duration_s": "link_duration",
        "lab_time_s": "link_lab_time",
    },
    draw=draw_allocations,
    conclude=lambda rows: told(allocations_of(rows)),
)
