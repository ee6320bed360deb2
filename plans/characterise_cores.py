"""Loss of every core and the crosstalk between all of them, and which core the quantum signal should have.

As in the core measurements of Clason et al. and Ji et al., section 2.3: the switch leads a laser into one core after
the other and each core's far end to a power meter. What is too weak for the power meter is counted by the single-photon
detectors, with the laser tuned into the receiver's filter; nothing stronger ever reaches them. Crosstalk of core i
into core j is the power that leaves j over the power that leaves i, when light enters i.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
from bluesky.utils import MsgGenerator
from numpy.typing import NDArray

from plans.figures import MEASURED, PUBLISHED, WIESEMANN, new_figure, save
from plans.preprocessors import experiment
from plans.stubs import Findings, read_together, set_in_turn, trigger_in_turn
from qdci_lab.errors import AcquisitionError
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import sweep
from qdci_lab.units import dbm_to_watt, photon_energy_j, ratio_to_db

COUNTED_BELOW_DBM = -75.0
"""Powers below this are counted: at 5 % efficiency the detectors would see a hundred million photons a second at it."""
LINEARITY_DB = 0.02
"""Of one power against another on the same meter; assumed, as usual for its kind."""
BY_METER, BY_CLICKS = 0, 1
NEVER = -300.0


def characterise_cores(
    link: Any, *, laser_power_dbm: float = 9.0, averaging_s: float = 0.2, count_s: float = 2.0
) -> MsgGenerator[None]:
    """One event for each pair of a lit core and a core listened to, the lit ones themselves included.

    `averaging_s` is the power meter's averaging time, `count_s` how long clicks are counted, both in lab time. Needs a
    testbed whose switch has a probe laser and a power meter (LimitError).
    """
    probe = link.check_probe()
    link.probe_laser.power.check_value(laser_power_dbm)
    link.probe_laser.wavelength.check_value(link.transmitter.wavelength_nm)
    link.probe_power_meter.averaging_time.check_value(averaging_s)
    link.tagger.acquisition_time.check_value(count_s)
    cores = range(1, len(link.routing.core_input_ports) + 1)
    metadata = {
        "plan_name": "characterise_cores",
        "figure": "Ji et al., section 2.3; Clason et al., Results",
        "num_points": len(cores) ** 2,
        "plan_args": {
            "laser_power_dbm": float(laser_power_dbm), "averaging_s": float(averaging_s), "count_s": float(count_s)
        },
    }  # fmt: skip
    found = Findings("pair")

    def measure() -> MsgGenerator[None]:
        yield from set_in_turn([*link.voa.blocking(), *link.launch_voa.blocking()])
        yield from bps.mv(link.probe_power_meter.averaging_time, averaging_s)
        yield from bps.mv(link.tagger.acquisition_time, count_s)
        dark_hz = yield from _clicks_hz(link, 1, None)
        dark_w = yield from _power_w(link, [(probe.laser_port, probe.meter_port)])
        yield from bps.mv(link.probe_laser.wavelength, link.transmitter.wavelength_nm)
        yield from bps.mv(link.probe_laser.power, laser_power_dbm)
        yield from bps.mv(link.probe_laser.emission, 1)
        reference_w = (yield from _power_w(link, [(probe.laser_port, probe.meter_port)])) - dark_w

        def at_pair(pair: tuple[int, int]) -> MsgGenerator[None]:
            values = yield from _pair(link, *pair, dark_w, dark_hz, count_s)
            yield from found.record({**values, "reference": (reference_w, "W")})

        yield from sweep(
            list(itertools.product(cores, cores)),
            at_pair,
            label=lambda pair: f"core {pair[0]} lit, core {pair[1]}",
        )

    moved = (
        link.switch.connections, link.probe_laser.wavelength, link.probe_laser.power,
        link.probe_power_meter.averaging_time, link.tagger.acquisition_time,
    )  # fmt: skip
    return (yield from experiment(measure(), link.parts, metadata, moved=moved))


def _into(link: Any, lit: int) -> tuple[int, int]:
    """The route of the laser into a core."""
    return (link.probe.laser_port, link.routing.core_input_ports[lit - 1])


def _power_w(link: Any, routes: Sequence[tuple[int, int]]) -> MsgGenerator[float]:
    """What the power meter reads with the switch set so; not-a-number where nothing was measured."""
    yield from bps.mv(link.switch.connections, link.routed(routes))
    yield from trigger_in_turn([link.probe_power_meter])
    reading = yield from read_together([link.probe_power_meter], stream="powers")
    if not reading:
        return math.nan
    power_dbm = float(reading[link.probe_power_meter.power.name]["value"])
    if math.isnan(power_dbm):
        raise AcquisitionError(
            f"{link.probe_power_meter.label}: no valid reading; is the light too strong for it?"
        )
    return dbm_to_watt(power_dbm)


def _clicks_hz(link: Any, core: int, lit: int | None) -> MsgGenerator[float]:
    """Clicks a second of all detectors that listen to a core."""
    out = link.routing.core_output_ports[core - 1]
    routes = [(out, link.routing.receiver_port), *([] if lit is None else [_into(link, lit)])]
    yield from bps.mv(link.switch.connections, link.routed(routes))
    yield from trigger_in_turn([link.tagger])
    reading = yield from read_together([link.tagger], stream="counts")
    return float(np.sum(reading[link.tagger.count_rates.name]["value"])) if reading else math.nan


def _pair(
    link: Any, lit: int, core: int, dark_w: float, dark_hz: float, count_s: float
) -> MsgGenerator[dict[str, tuple[float, str]]]:
    """Power that leaves a core's far end, behind one pass of the switch, with light in another or in itself."""
    probe = link.probe
    out = link.routing.core_output_ports[core - 1]
    power_w = (yield from _power_w(link, [_into(link, lit), (out, probe.meter_port)])) - dark_w
    method, error_db = BY_METER, LINEARITY_DB
    if lit != core and power_w < dbm_to_watt(COUNTED_BELOW_DBM):
        rate_hz = yield from _clicks_hz(link, core, lit)
        seen = probe.detector_efficiency * 10.0 ** (-0.1 * probe.receiver_loss_db)
        power_w = (rate_hz - dark_hz) * photon_energy_j(link.transmitter.wavelength_nm * 1e-9) / seen
        spread_hz = math.sqrt((rate_hz + dark_hz) / count_s)
        statistical_db = 10.0 / math.log(10.0) * spread_hz / max(rate_hz - dark_hz, spread_hz)
        method = BY_CLICKS
        error_db = math.hypot(statistical_db, probe.receiver_loss_uncertainty_db, probe.meter_uncertainty_db)
    return {
        "lit": (lit, "1"), "core": (core, "1"), "power": (power_w, "W"), "method": (method, "1"),
        "error": (error_db, "dB"), "pass_loss": (probe.pass_loss_db, "dB"),
    }  # fmt: skip


@dataclass(frozen=True)
class Cores:
    """Losses in dB, shape (n,), fans included and switch not; crosstalk in dB, shape (n, n): [into, from]."""

    loss_db: NDArray[np.float64]
    loss_error_db: NDArray[np.float64]
    crosstalk_db: NDArray[np.float64]
    crosstalk_error_db: NDArray[np.float64]
    counted: NDArray[np.bool_]

    def total_crosstalk_db(self, core: int) -> float:
        """From all other cores at equal powers into one, cores numbered from 1."""
        others = np.delete(self.crosstalk_db[core - 1], core - 1)
        return ratio_to_db(float(np.sum(10.0 ** (0.1 * others))))

    def merit_db(self, core: int) -> float:
        """Signal that is left over the crosstalk of all others: what a quantum core should have most of."""
        return -float(self.loss_db[core - 1]) - self.total_crosstalk_db(core)

    def ranking(self) -> list[int]:
        """Cores from the best for the quantum signal to the worst."""
        return sorted(range(1, self.loss_db.size + 1), key=self.merit_db, reverse=True)

    def quietest_neighbour(self, quantum: int) -> int:
        """The core that disturbs the quantum core least: for the strongest light, the local oscillator."""
        row = self.crosstalk_db[quantum - 1].copy()
        row[quantum - 1] = np.inf
        return int(np.argmin(row)) + 1


def cores_of(rows: Sequence[Mapping[str, Any]]) -> Cores:
    """The matrix that the points come to, each against the laser's power as it was measured in its own part."""
    number = round(math.sqrt(len(rows)))
    share, error_db, counted = (np.full((number, number), np.nan) for _ in range(3))
    for row in rows:
        place = round(float(row["pair_core"])) - 1, round(float(row["pair_lit"])) - 1
        share[place], error_db[place] = row["pair_power"] / row["pair_reference"], row["pair_error"]
        counted[place] = row["pair_method"]
    own = np.diag(share)
    loss_db = np.array([ratio_to_db(1.0 / kept) for kept in own]) - float(rows[0]["pair_pass_loss"])
    crosstalk_db = np.array([[max(ratio_to_db(ratio), NEVER) for ratio in row] for row in share / own])
    return Cores(
        loss_db=loss_db,
        loss_error_db=math.sqrt(2.0) * np.diag(error_db),
        crosstalk_db=crosstalk_db,
        crosstalk_error_db=np.hypot(error_db, LINEARITY_DB),
        counted=counted == BY_CLICKS,
    )


def _conclude(rows: Sequence[Mapping[str, Any]]) -> str:
    cores = cores_of(rows)
    ranking = cores.ranking()
    best, second = ranking[0], ranking[1]
    margin_db = cores.merit_db(best) - cores.merit_db(second)
    error_db = math.hypot(*(cores.loss_error_db[[best - 1, second - 1]]), 2.0 * LINEARITY_DB)
    told = ", ".join(f"{core}: {cores.loss_db[core - 1]:.2f} dB" for core in range(1, len(ranking) + 1))
    return (
        f"loss with both fans {told}\n"
        f"quantum signal in core {best}: loss {cores.loss_db[best - 1]:.2f} dB, crosstalk of all others "
        f"{cores.total_crosstalk_db(best):.2f} dB, better than core {second} by {margin_db:.2f} ± {error_db:.2f} dB; "
        f"strongest light in core {cores.quietest_neighbour(best)} (Ji et al.: quantum 1, local oscillator 4)"
    )


def _draw(run: Run, path: Path) -> None:
    rows = [event["data"] for event in run.events("primary")]
    cores = cores_of(rows)
    number = cores.loss_db.size
    figure, (above, below) = new_figure(run, "Loss of every core, and crosstalk between them", rows=2)
    figure.set_size_inches(8.0, 9.5)
    numbers = np.arange(1, number + 1)
    best = cores.ranking()[0]
    colors = [MEASURED if core == best else WIESEMANN for core in numbers]
    above.bar(numbers, cores.loss_db, yerr=cores.loss_error_db, color=colors, capsize=3, width=0.6)
    for core in numbers:
        text = f"all others\n{cores.total_crosstalk_db(int(core)):.1f} dB"
        above.annotate(
            text, (core, cores.loss_db[core - 1]), xytext=(0, 9), textcoords="offset points", ha="center", fontsize=7
        )  # fmt: skip
    above.set_ylim(0, 1.3 * float(cores.loss_db.max()))
    above.set_ylabel("loss, both fans included (dB)")
    above.set_xlabel(f"core (dark: recommended for the quantum signal, core {best})")
    shown = np.where(np.eye(number, dtype=bool), np.nan, cores.crosstalk_db)
    below.grid(visible=False)
    image = below.imshow(shown, cmap="viridis", extent=(0.5, number + 0.5, number + 0.5, 0.5), aspect="auto")
    for into in range(number):
        for lit in range(number):
            if into != lit:
                mark = "*" if cores.counted[into, lit] else ""
                level_db = cores.crosstalk_db[into, lit]
                color = "white" if level_db < -90.0 else "black"
                place = (lit + 1, into + 1)
                below.text(*place, f"{level_db:.1f}{mark}", ha="center", va="center", fontsize=8, color=color)
    figure.colorbar(image, ax=below, label="crosstalk (dB)")
    below.set_xlabel("lit core")
    below.set_ylabel("core listened to")
    below.set_title(
        "* by clicks · Ji et al. 4.2: h L = -56.1 dB a neighbour · Clason et al., 33 km: all others -54.5, -56.4 dB",
        fontsize=8, color=PUBLISHED,
    )  # fmt: skip
    save(figure, path)


REPORT = Report(
    columns=(
        Column("pair_lit", "lit core", "{:.0f}"),
        Column("pair_core", "core", "{:.0f}"),
        Column("pair_power", "power W", "{:.3e}"),
        Column("pair_error", "± dB", "{:.2f}"),
        Column("pair_method", "by (0 meter, 1 clicks)", "{:.0f}"),
    ),
    points={
        "lit_core": "pair_lit", "core": "pair_core", "power_w": "pair_power", "error_db": "pair_error",
        "method": "pair_method", "reference_w": "pair_reference",
    },
    draw=_draw,
    conclude=_conclude,
)  # fmt: skip
