"""Key rate, error rate and visibility against loss added to the channel (Qiu et al., Table 3 and Fig. 7).

The data line's detector is blind for tens of microseconds after each click, so that at no added loss most photons
meet a blind detector: 10 dB of loss cost 5 dB of key. Runs on any link that can add loss; the published values are
drawn beside those of the testbed that they belong to.
"""

from collections.abc import Sequence
from typing import Any

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from plans.attenuation_figure import draw_attenuation_sweep
from plans.preprocessors import experiment
from plans.quantum_link import measure_link, prepare_link, with_loss_put_back
from qdci_lab.progress import Column
from qdci_lab.report import Report
from qdci_lab.sweep import sweep

ADDED_LOSSES_DB = (0.0, 3.0, 5.0, 7.0, 8.0, 10.0, 12.0)


def attenuation_sweep(
    link: Any,
    *,
    added_losses_db: Sequence[float] = ADDED_LOSSES_DB,
    detections: float = 1e7,
    max_duration_s: float = 3600.0,
    align: bool = True,
    keep_tags: bool = False,
) -> MsgGenerator[None]:
    """One acquisition at each added loss, from `detections` sifted key bits or `max_duration_s` of lab time.

    `align` turns the polarization right first, on links that have one. With `keep_tags` the time tags go to the file.
    The loss is taken away at the end. LimitError or ValueError, before anything moves, for what cannot be done.
    """
    losses = [float(loss_db) for loss_db in added_losses_db]
    _check(link, losses, detections, max_duration_s)
    metadata = {
        "plan_name": "attenuation_sweep",
        "figure": "Qiu et al., Table 3 and Fig. 7",
        "key_rate_means": link.KEY_RATE_MEANS,
        "num_points": len(losses),
        "plan_args": {
            "added_losses_db": losses, "detections": float(detections), "max_duration_s": float(max_duration_s),
            "align": align, "keep_tags": keep_tags,
        },
        "hints": {"dimensions": [([link.added_loss.name], "primary")]},
        "plot": {"x": link.added_loss.name, "y": [f"{link.name}_key_rate", f"{link.name}_error_rate"]},
    }  # fmt: skip

    def measure() -> MsgGenerator[None]:
        yield from prepare_link(link, align=align)
        if keep_tags:
            yield from bps.declare_stream(link.tagger.tags, name="tags", collect=True)
        yield from sweep(losses, at_loss)

    def at_loss(loss_db: float) -> MsgGenerator[None]:
        yield from bps.mv(link.added_loss, loss_db)
        yield from measure_link(link, detections, max_duration_s, keep_tags=keep_tags)

    return (yield from experiment(with_loss_put_back(measure(), link), link.parts, metadata))


def _check(link: Any, losses_db: Sequence[float], detections: float, max_duration_s: float) -> None:
    """LimitError or ValueError for an argument that cannot be carried out; nothing has moved yet."""
    if not losses_db:
        raise ValueError("added_losses_db: give at least one added loss")
    for loss_db in losses_db:
        link.added_loss.check_value(loss_db)
    link.detections.check_value(detections)
    link.max_duration.check_value(max_duration_s)


REPORT = Report(
    columns=(
        Column("link_added_loss", "added dB", "{:.2f}"),
        Column("link_duration", "s", "{:.1f}"),
        Column("link_detection_rate", "clicks/s", "{:.0f}"),
        Column("link_error_rate", "QBER %", "{:.3f}", 100.0),
        Column("link_visibility", "V %", "{:.2f}", 100.0, "link_visibility_error"),
        Column("link_key_rate", "SKR b/s", "{:.0f}", 1.0, "link_key_rate_error"),
        Column("link_skr_cow4", "COW-4 b/s", "{:.0f}"),
        Column("link_channel_loss", "loss by tags dB", "{:.2f}", 1.0, "link_channel_loss_error"),
    ),
    points={
        "added_loss_db": "link_added_loss",
        "skr_bps": "link_key_rate",
        "skr_error_bps": "link_key_rate_error",
        "qber": "link_error_rate",
        "visibility": "link_visibility",
        "visibility_error": "link_visibility_error",
        "skr_cow4_bps": "link_skr_cow4",
        "channel_loss_db": "link_channel_loss",
        "channel_loss_error_db": "link_channel_loss_error",
        "detection_rate_hz": "link_detection_rate",
        "duration_s": "link_duration",
        "lab_time_s": "link_lab_time",
    },
    draw=draw_attenuation_sweep,
)
