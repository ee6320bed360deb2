"""Secret key rate against the classical power launched into the other cores (Ji et al., Fig. 5(a)).

The quantum signal runs in one core of the multicore fibre; light of the other cores scatters into it. What physics
gives is a rise of the error rate with the launch power: where it lowers the key rate from 229.2 to 167.9 kb/s, as
published for more than 10 dBm, the error rate must be 2.2 %. The paper's "QBER below 1.5 %" and its 167.9 kb/s cannot
both come from such noise, and this plan makes no attempt to have them agree.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from plans.figures import draw_key_rate
from plans.polarization import Descent, align_polarization
from plans.preprocessors import experiment
from plans.quantum_link import check_acquisition, classical_light_on, link_up, measure_link, moved_by_link
from qdci_lab.progress import Column
from qdci_lab.record.replay import Run
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

LAUNCH_POWERS_DBM = (-10.0, -4.0, 2.0, 6.0, 8.0, 10.0, 11.0, 12.0, 13.0, 14.0)


def skr_vs_launch_power(
    link: Any,
    *,
    launch_powers_dbm: Sequence[float] = LAUNCH_POWERS_DBM,
    detections: float = 1e7,
    core: int = 1,
    align: bool = True,
    keep_tags: bool = True,
    max_duration_s: float = 3600.0,
) -> MsgGenerator[None]:
    """Key rate and error rates at each launch power, from `detections` sifted key-basis detections a point.

    `launch_powers_dbm` is the power into each classical core, closed on the power meter's tap to 0.05 dB; `core` the
    fibre core of the quantum signal; `max_duration_s` bounds the acquisition of a point, in lab time. With `keep_tags`
    the time tags go to the file. LimitError, before anything moves, for what an instrument cannot do. Any link with a
    `launch_power` will do, of whatever protocol; published values are drawn for the testbed they belong to.
    """
    powers = [float(power) for power in launch_powers_dbm]
    _check(link, powers, detections, core, max_duration_s)
    metadata = {
        "plan_name": "skr_vs_launch_power",
        "figure": "Ji et al., Fig. 5(a)",
        "num_points": len(powers),
        "plan_args": {
            "launch_powers_dbm": powers, "detections": float(detections), "core": core, "align": align,
            "keep_tags": keep_tags, "max_duration_s": float(max_duration_s),
        },
        "hints": {"dimensions": [([link.launch_power.name], "primary")]},
        "plot": {"x": link.launch_power.name, "y": [f"{link.name}_skr_rusca_2018", f"{link.name}_qber_z"]},
    }  # fmt: skip

    def measure() -> MsgGenerator[None]:
        yield from link_up(link, core)
        if keep_tags:
            yield from bps.declare_stream(link.tagger.tags, name="tags", collect=True)
        if align:
            yield from align_polarization(link, Descent(volts_per_pi=link.receiver.volts_per_pi))
        yield from classical_light_on(link)
        yield from sweep(powers, lambda power: measure_at(link, power, detections, max_duration_s, keep_tags))

    return (yield from experiment(measure(), link.parts, metadata, moved=moved_by_link(link)))


def measure_at(
    link: Any, power_dbm: float, detections: float, max_duration_s: float, keep_tags: bool
) -> MsgGenerator[None]:
    """One point: launch power closed on the tap, then one acquisition and every device's settings in one event."""
    yield from bps.mv(link.launch_power, power_dbm)
    yield from measure_link(link, detections, max_duration_s, keep_tags=keep_tags)


def _check(
    link: Any, powers_dbm: Sequence[float], detections: float, core: int, max_duration_s: float
) -> None:
    """LimitError or ValueError for an argument that cannot be carried out; nothing has moved yet."""
    if not powers_dbm:
        raise ValueError("launch_powers_dbm: give at least one launch power")
    for power_dbm in powers_dbm:
        link.launch_power.check_value(power_dbm)
    check_acquisition(link, detections, core, max_duration_s)


PUBLISHED_BLOCK = 1e8  # detections in the key basis a point (section 4.1)
# What the paper prints (sections 2.5 and 3): label, key rate and its spread in b/s.
PUBLISHED = {
    "ji_mcf": (
        ("Ji et al.: 229.2 ± 8.2 kb/s", 229.2e3, 8.2e3),
        ("Ji et al., launch power above 10 dBm: 167.9 ± 7.6 kb/s", 167.9e3, 7.6e3),
    )
}


PUBLISHED_QBER = {"ji_mcf": ("Ji et al.: 1.27 %", 0.0127)}


def _draw(run: Run, path: Path) -> None:
    testbed = str(run.start.get("testbed", ""))
    source = " (Ji et al., Fig. 5(a))" if testbed in PUBLISHED else ""
    draw_key_rate(
        run,
        path,
        x_key="link_launch_power",
        x_label="launch power into each classical core (dBm)",
        title=f"Secret key rate and QBER against launch power{source}",
        published=PUBLISHED.get(testbed, ()),
        published_qber=PUBLISHED_QBER.get(testbed),
        block=PUBLISHED_BLOCK if testbed in PUBLISHED else None,
    )


REPORT = Report(
    columns=(
        Column("link_launch_power", "launch dBm", "{:.2f}"),
        Column("link_n_z", "n_Z", "{:.3g}"),
        Column("link_duration", "s", "{:.2f}"),
        Column("link_qber_z", "QBER Z %", "{:.3f}", 100.0),
        Column("link_qber_x", "QBER X %", "{:.3f}", 100.0),
        Column("link_skr_rusca_2018", "SKR kb/s", "{:.1f}", 1e-3, "link_skr_rusca_2018_error"),
        Column("link_skr_wiesemann_2024", "Wiesemann kb/s", "{:.1f}", 1e-3, "link_skr_wiesemann_2024_error"),
    ),
    points={
        "launch_power_dbm": "link_launch_power",
        "skr_bps": "link_skr_rusca_2018",
        "skr_error_bps": "link_skr_rusca_2018_error",
        "skr_wiesemann_bps": "link_skr_wiesemann_2024",
        "skr_wiesemann_error_bps": "link_skr_wiesemann_2024_error",
        "qber_z": "link_qber_z",
        "qber_x": "link_qber_x",
        "n_z": "link_n_z",
        "duration_s": "link_duration",
        "lab_time_s": "link_lab_time",
    },
    draw=_draw,
)
