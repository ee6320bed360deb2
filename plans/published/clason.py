"""Clason et al., trusted-node network over a core of a multicore fibre: links, losses, key rates, one-time pads."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from plans.published.clason_runs import recorded_rows
from plans.published.table import Row, Runs, family, points_of, run_of
from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.analysis.key_rate import estimate_key_rate
from qdci_lab.record.replay import Run
from qdci_lab.units import dbm_to_watt, photon_energy_j

# Assumed, from the family of instruments: intensities, probabilities and the interferometer-free 1/20 window of 20 ns.
PROTOCOL = OneDecoyProtocol(mu=0.80, nu=0.28, p_signal=0.7, p_z=0.9)
CLOCK_HZ, WINDOW_S, DARK_HZ = 50e6, 1e-9, 30.0
BLOCK = 4.1e5
RECEIVER_LOSS_DB = 1.7
LIU_NYK, NYK_KTH = "clason_trusted_node", "clason_nyk_kth"
NO_CORE, SWITCHED_CORES, MOST_MA = 0, (1, 6), 45.0


def key_rate_bps(
    loss_db: float,
    qber_z: float,
    qber_x: float,
    *,
    efficiency: tuple[float, float] = (0.92, 0.80),
    block: float = BLOCK,
) -> float:
    """Finite key rate of the decoy link at a channel loss, with the error rates as reported."""
    n = np.zeros((2, 2))
    for basis, (share, seen) in enumerate(zip((PROTOCOL.p_z, 1.0 - PROTOCOL.p_z), efficiency, strict=True)):
        eta = 0.5 * seen * 10.0 ** (-0.1 * (loss_db + RECEIVER_LOSS_DB))
        for index, (p, k) in enumerate(
            ((PROTOCOL.p_signal, PROTOCOL.mu), (1.0 - PROTOCOL.p_signal, PROTOCOL.nu))
        ):
            n[basis, index] = share * p * (-math.expm1(-eta * k) + 2.0 * DARK_HZ * WINDOW_S)
    pulses = block / float(n[0].sum())
    m = n * np.array([[qber_z], [qber_x]])
    return estimate_key_rate(SiftedCounts(n * pulses, m * pulses), PROTOCOL, pulses / CLOCK_HZ).skr_bps


def _steps(run: Run | None) -> list[dict[str, Any]]:
    """The steps of a campaign that have blocks."""
    keys = {"core": "step_core", "ma": "step_current", "blocks": "step_blocks", "skr": "step_skr"}
    return [step for step in points_of(run, keys) if step["blocks"] > 0]


def _pooled_bps(steps: Sequence[Mapping[str, Any]]) -> float:
    """Mean over the blocks of many steps."""
    return float(np.average([step["skr"] for step in steps], weights=[step["blocks"] for step in steps]))


def _campaign(runs: Runs, testbed: str, *, bare: bool) -> Run | None:
    """The newest run of core switching through cores of the multicore fibre, or past it."""
    return run_of(
        runs,
        "core_switching",
        testbed,
        lambda run: (set(run.start["plan_args"]["cores"]) == {NO_CORE}) is bare,
    )


def _mean_rate(runs: Runs, testbed: str, formula_bps: float, *, bare: bool) -> tuple[float, str]:
    """The mean key rate of the newest campaign and its file; that of the formula without one."""
    run = _campaign(runs, testbed, bare=bare)
    steps = _steps(run)
    return (_pooled_bps(steps), run.path.name) if run is not None and steps else (formula_bps, "formula")


def _slopes(runs: Runs) -> list[Row]:
    """What is left of the key at the strongest light of the diode, core by core."""
    run = _campaign(runs, LIU_NYK, bare=False)
    steps = _steps(run)
    rows = []
    for core in SWITCHED_CORES:
        dark, lit = ([s for s in steps if s["core"] == core and s["ma"] == ma] for ma in (0.0, MOST_MA))
        left = _pooled_bps(lit) / _pooled_bps(dark) if dark and lit and _pooled_bps(dark) > 0.0 else None
        rows.append(
            Row(
                "Clason, Fig. 4(a)", f"key rate at {MOST_MA:g} mA over that in the dark, core {core}", "B", "",
                obtained=left, how=run.path.name if run is not None else "", published_text="figure only: near zero",
                note="core_coupling, one a core: hardly any key at what the system could tolerate",
            )
        )  # fmt: skip
    return rows


@family("Clason et al., trusted node and core switching")
def rows(runs: Runs) -> Sequence[Row]:
    """Everything that has a number; key rates by the newest runs where there are any."""
    loss_note = (
        f"receiver loss {RECEIVER_LOSS_DB} dB, blocks of {BLOCK:.2g} bit: to all three; mu, nu, p_Z assumed"
    )
    liu, how_liu = _mean_rate(runs, LIU_NYK, key_rate_bps(33.0, 0.011, 0.008), bare=False)
    kth, how_kth = _mean_rate(
        runs, NYK_KTH, key_rate_bps(36.0, 0.018, 0.005, efficiency=(0.90, 0.81)), bare=True
    )
    bare, how_bare = _mean_rate(runs, LIU_NYK, key_rate_bps(23.0, 0.005, 0.005), bare=True)
    led_w = dbm_to_watt(-24.6) * 10.0**-5.45 * 0.8 / 50.0
    return [
        Row(
            "Clason, Results",
            "total length",
            "A",
            "km",
            303.0,
            None,
            143.0 + 160.0,
            1e-9,
            note="110 + 33 and 160 km",
        ),
        Row(
            "Clason, Results",
            "loss LiU-NYK with the multicore fibre",
            "A",
            "dB",
            33.0,
            None,
            23.0 + 0.5 * (9.3 + 10.5),
            0.3,
            note="23 dB and 9.3 or 10.5 dB of the core",
        ),
        Row(
            "Clason, Results",
            "single mode: V of a core",
            "A",
            "",
            None,
            None,
            math.pi * 8.7 / 1.55 * math.sqrt(1.4639**2 - 1.4591**2),
            0.2,
            note="8.7 um, 1.4639 and 1.4591: below 2.405",
            published_text="single mode",
        ),
        Row(
            "Clason, Results",
            "attenuation of core 1 without fans and switch",
            "A",
            "dB/km",
            None,
            None,
            (9.3 - 2 * 0.75 - 2 * 1.0) / 33.0,
            published_text="9.3 dB in all",
            note="33 km",
        ),
        Row(
            "Clason, Results",
            "core losses; crosstalk",
            "input",
            "dB",
            published_text="9.3, 10.5, 11.5 to 13.1; -54.5 (1), -56.4 (6)",
        ),
        Row(
            "Clason, Fig. 2(a)",
            "key rate LiU-NYK without the multicore fibre, SNSPD",
            "B",
            "kb/s",
            4.75,
            0.71,
            bare / 1e3,
            0.35,
            how_bare,
            note=loss_note,
        ),
        Row(
            "Clason, Fig. 2(b)",
            "key rate without the multicore fibre, InGaAs",
            "C",
            "kb/s",
            0.16,
            0.02,
            note="the time-multiplexed single detector is not described",
        ),
        Row(
            "Clason, Fig. 3",
            "key rate LiU-NYK with the multicore fibre",
            "B",
            "b/s",
            87.2,
            53.4,
            liu,
            0.35,
            how_liu,
            note=loss_note,
        ),
        *_slopes(runs),
        Row("Clason, Fig. 3", "key rate NYK-KTH", "B", "b/s", 24.6, 10.3, kth, 0.35, how_kth, loss_note),
        Row(
            "Clason, Appendix",
            "key from literal blocks of 50e3 bit",
            "C",
            "b/s",
            87.2,
            53.4,
            key_rate_bps(33.0, 0.011, 0.008, block=5e4),
            note="no key in so short a block; bytes, or pooled",
        ),
        Row(
            "Clason, Results",
            "LED light in the quantum core's band at -24.6 dBm",
            "C",
            "1/s",
            None,
            None,
            led_w / photon_energy_j(1550e-9),
            published_text="-54.5 dB",
            note="0.8 of 50 nm at the stated crosstalk: 10 to 20 dB over what leaves a key",
        ),
        Row(
            "Clason, Fig. 4",
            "one-time pad of 100 s at 87.2 b/s",
            "A",
            "bit",
            8720.0,
            None,
            87.2 * 100.0,
            1e-9,
        ),
        Row(
            "Clason, Fig. 4",
            "bits per pixel of it, 256 x 256",
            "A",
            "bit",
            0.133,
            None,
            87.2 * 100.0 / 256**2,
            0.01,
        ),
        Row(
            "Clason, Fig. 4",
            "LPIPS of the images, JPEG AI",
            "C",
            "",
            note="the codec and its data are not published",
            published_text="figure only",
        ),
        Row(
            "Clason, Fig. 3(e)", "key LiU-NYK in 92 h", "A", "Mbit", 28.9, None, 87.2 * 92 * 3600 / 1e6, 0.01
        ),
        Row(
            "Clason, Fig. 3(e)",
            "key end to end in 92 h (the poorer link)",
            "A",
            "Mbit",
            8.15,
            None,
            24.6 * 92 * 3600 / 1e6,
            0.01,
        ),
        Row(
            "Clason, Appendix",
            "pulse rate; wavelength; drift tracked",
            "input",
            "",
            published_text="50 MHz; 1550.12 nm; 0.1 rad/s",
        ),
        *recorded_rows(runs),
    ]
