"""What a coherent-one-way acquisition comes to: error rate, visibility, channel loss and key rates with their errors.

Formulas of the key rates and what each assumes: `qdci_lab.analysis.cow`. Detectors are blind for a fixed time after
each click, far longer than a period of the code, so that all of a detector's counts are lowered by one factor, its live
share 1 - R tau at R clicks a second.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.cow import Cow4Monitor, cow4_rate, cow_restricted_rate
from qdci_lab.analysis.cow_code import DECOY, ONE, VACUUM, ZERO, CowCode
from qdci_lab.analysis.cow_counts import CowCounts
from qdci_lab.analysis.cow_lock import CowLock
from qdci_lab.analysis.statistics import Proportion, estimate_proportion, poisson_standard_error
from qdci_lab.units import PS_PER_S, ps_to_seconds

Array = NDArray[np.float64]
Scalar = float | int | str
BRIGHT, DARK = 0, 1
LOSS_STEP_DB = 0.1


@dataclass(frozen=True)
class CowProtocol:
    """What the parties agreed on, and how the system makes key of it.

    `mu` is the mean photon number of a pulse at the channel's input. `distilled_share` is the part of the secret rate
    that a system delivers, the rest being lost to whatever else it does meanwhile. At a channel loss of
    `cutoff_loss_db` or more, reckoned in tenths of a decibel, the system gives no key at all.
    """

    mu: float
    f_ec: float = 1.16
    distilled_share: float = 1.0
    cutoff_loss_db: float = math.inf


@dataclass(frozen=True)
class CowReceiver:
    """Wiring and calibration of the receiver; detectors are those of the data line and of the monitor's two outputs.

    `inputs` are the tagger's input numbers of data, bright and dark detector, `delays_ps` what is subtracted from their
    tags, such that a pulse that took the monitor's short arm falls into its own slot. `gate_width_ps` is centred on
    the pulse, 0 for the whole slot. `data_efficiency` is the chance that a photon at the receiver's input makes a
    click of a live data detector, known to `data_efficiency_error_db`.
    """

    inputs: tuple[int, int, int]
    dead_time_ps: float
    data_efficiency: float
    data_efficiency_error_db: float = 0.0
    delays_ps: tuple[int, int, int] = (0, 0, 0)
    gate_width_ps: float = 0.0


@dataclass(frozen=True, eq=False)
class CowAcquisition:
    """What was acquired, and what is known of it beside the clicks; `remark` says why there is no lock."""

    counts: CowCounts
    lock: CowLock | None
    duration_ps: int
    told_loss_db: float
    remark: str = ""


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error; both NaN where nothing is known."""

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class CowResult:
    """One acquisition evaluated. Key rates are in bits per second and zero where there is no key or no lock.

    `restricted` is the rate against restricted collective attacks, `collective` that of COW-4; what each assumes is in
    `qdci_lab.analysis.cow.ASSUMPTIONS`. The unclipped ones go below zero, and know nothing of the cut-off.
    """

    acquired: CowAcquisition
    qber: Proportion
    visibility: Estimate
    channel_loss_db: Estimate
    restricted_unclipped_bps: Estimate
    collective_unclipped_bps: float
    phase_error: float
    cut_off: bool

    @property
    def restricted_bps(self) -> float:
        """Secret key rate against restricted collective attacks."""
        return self._delivered(self.restricted_unclipped_bps.value)

    @property
    def collective_bps(self) -> float:
        """Secret key rate of the COW-4 bound."""
        return self._delivered(self.collective_unclipped_bps)

    def _delivered(self, rate_bps: float) -> float:
        return rate_bps if rate_bps > 0.0 and not self.cut_off else 0.0

    def to_dict(self) -> dict[str, Scalar]:
        """Flat values, keyed as in `COW_UNITS`."""
        acquired, counts = self.acquired, self.acquired.counts
        seconds = ps_to_seconds(acquired.duration_ps)
        scalars: dict[str, Scalar] = {
            "duration": seconds,
            "n_key": counts.n_key,
            "m_key": counts.m_key,
            "sifted_rate": counts.n_key / seconds,
            "qber": self.qber.value,
            "qber_low": self.qber.low,
            "qber_high": self.qber.high,
            "visibility": self.visibility.value,
            "visibility_error": self.visibility.error,
            "channel_loss": self.channel_loss_db.value,
            "channel_loss_error": self.channel_loss_db.error,
            "told_loss": acquired.told_loss_db,
            "cut_off": int(self.cut_off),
            "skr_restricted_collective": self.restricted_bps,
            "skr_restricted_collective_error": self.restricted_unclipped_bps.error,
            "skr_restricted_collective_unclipped": self.restricted_unclipped_bps.value,
            "skr_cow4": self.collective_bps,
            "skr_cow4_unclipped": self.collective_unclipped_bps,
            "phase_error_cow4": self.phase_error,
            "monitor_pairs_bright": int(counts.pairs[BRIGHT]),
            "monitor_pairs_dark": int(counts.pairs[DARK]),
            "monitor_empties_bright": int(counts.empties[BRIGHT]),
            "monitor_empties_dark": int(counts.empties[DARK]),
            "foreign_tags": counts.foreign,
        }
        names = ("data", "bright", "dark")
        scalars |= {
            f"rate_{name}": float(clicks) / seconds
            for name, clicks in zip(names, counts.singles, strict=True)
        }
        return (
            scalars
            | self._lock_scalars()
            | {"locked": int(acquired.lock is not None), "remark": acquired.remark}
        )

    def _lock_scalars(self) -> dict[str, Scalar]:
        lock = self.acquired.lock
        keys = (
            "figure_of_merit",
            "threshold",
            "runner_up",
            "line_power",
            "residual_ps",
            "offset_ppm",
            "tags",
        )
        scalars: dict[str, Scalar] = {
            f"sync_{key.removesuffix('_ps').removesuffix('_ppm')}": getattr(lock, key) if lock else math.nan
            for key in keys
        }
        return scalars | {"sync_tags": lock.tags if lock else 0}


def evaluate_cow(
    acquired: CowAcquisition, code: CowCode, protocol: CowProtocol, receiver: CowReceiver, period_ps: float
) -> CowResult:
    """Error rate, visibility, loss and key rates of sorted clicks; the standard errors are those of Poisson counts."""
    counts = acquired.counts
    if not acquired.duration_ps > 0:
        raise ValueError(f"duration of {acquired.duration_ps} ps: rates need a positive duration")
    live = 1.0 - counts.singles / ps_to_seconds(acquired.duration_ps) * receiver.dead_time_ps / PS_PER_S
    bench = _Bench(counts, np.maximum(live, 1e-6), code, protocol, receiver, period_ps, acquired.duration_ps)
    qber = estimate_proportion(float(counts.m_key), float(counts.n_key))
    visibility = bench.visibility()
    restricted = bench.restricted(visibility)
    collective_bps, phase_error = bench.collective(qber.value)
    return CowResult(
        acquired=acquired,
        qber=qber,
        visibility=visibility,
        channel_loss_db=bench.channel_loss(),
        restricted_unclipped_bps=restricted,
        collective_unclipped_bps=collective_bps,
        phase_error=phase_error,
        cut_off=_tenths(acquired.told_loss_db) >= _tenths(protocol.cutoff_loss_db),
    )


def _tenths(loss_db: float) -> float:
    return math.inf if math.isinf(loss_db) else round(loss_db / LOSS_STEP_DB)


@dataclass(frozen=True, eq=False)
class _Bench:
    """Counts with all that is needed to turn them into rates; `live` are the detectors' live shares."""

    counts: CowCounts
    live: Array
    code: CowCode
    protocol: CowProtocol
    receiver: CowReceiver
    period_ps: float
    duration_ps: int

    @property
    def sent(self) -> Array:
        """How often each sequence was sent, shape [4]."""
        return self.code.counts() * self.duration_ps / (2.0 * self.period_ps * self.code.length)

    def visibility(self) -> Estimate:
        """V = (D_M0 - D_M1) / (D_M0 + D_M1) where two pulses met, less what is counted where none were sent.

        Dark counts and afterpulses are spread evenly over the slots. Noise may lift the value above 1.
        """
        given = np.concatenate([self.counts.pairs, self.counts.empties]).astype(np.float64)
        if self.counts.pairs.sum() == 0:
            return Estimate(math.nan, math.nan)
        return Estimate(float(self._visibilities(given)), poisson_standard_error(self._visibilities, given))

    def _visibilities(self, given: Array) -> Array:
        scale = self.counts.pair_slots / self.counts.empty_slots
        met = (given[..., 0:2] - scale * given[..., 2:4]) / self.live[1:]
        total = met.sum(axis=-1)
        return np.divide(met[..., 0] - met[..., 1], total, out=np.zeros_like(total), where=total > 0.0)

    def restricted(self, visibility: Estimate) -> Estimate:
        """Rate against restricted collective attacks, unclipped.

        A visibility above 1 by its noise counts as 1. Its share of the error is what one standard error less of it
        costs, so that the error does not vanish at 1; bits are two Poisson variables, right and wrong ones.
        """
        counts = self.counts
        given = np.array([counts.n_key - counts.m_key, counts.m_key], dtype=np.float64)
        if counts.n_key == 0 or math.isnan(visibility.value):
            return Estimate(0.0, math.nan)
        seen = min(visibility.value, 1.0)
        rate_bps = float(self._restricted_bps(given, seen))
        less_bps = float(self._restricted_bps(given, seen - visibility.error))
        by_bits = poisson_standard_error(lambda displaced: self._restricted_bps(displaced, seen), given)
        return Estimate(rate_bps, math.hypot(by_bits, rate_bps - less_bps))

    def _restricted_bps(self, given: Array, visibility: float) -> Array:
        n_key = given[..., 0] + given[..., 1]
        qber = np.divide(given[..., 1], n_key, out=np.zeros_like(n_key), where=n_key > 0.0)
        share = cow_restricted_rate(qber, visibility, self.protocol.mu, f_ec=self.protocol.f_ec)
        seconds = ps_to_seconds(self.duration_ps)
        return self.protocol.distilled_share * n_key / seconds * share.rate_unclipped

    def collective(self, qber: float) -> tuple[float, float]:
        """COW-4's rate in bits per second, unclipped, and the phase error; gains are those of live detectors."""
        if self.counts.n_key == 0:
            return 0.0, 0.5
        gains = self.counts.meeting / self.live[1:] / self.sent[:, None]
        monitor = Cow4Monitor(gains[VACUUM], gains[ONE], gains[ZERO], gains[DECOY])
        keys_sent = float(self.sent[ZERO] + self.sent[ONE])
        gain = self.counts.n_key / float(self.live[0]) / keys_sent
        rate = cow4_rate(monitor, self.protocol.mu, gain, qber, f_ec=self.protocol.f_ec)
        keys_hz = keys_sent / ps_to_seconds(self.duration_ps) * float(self.live[0])
        bps = self.protocol.distilled_share * keys_hz * float(rate.rate_unclipped)
        return bps, float(monitor.phase_error(self.protocol.mu))

    def channel_loss(self) -> Estimate:
        """Loss between transmitter and receiver, from the data line's clicks at pulses, background taken off."""
        counts, sent = self.counts, self.sent
        lit = float(counts.data[[ZERO, ONE, DECOY]].sum())
        background = (
            float(counts.data[VACUUM].sum()) * float(sent[:VACUUM].sum()) / max(float(sent[VACUUM]), 1e-9)
        )
        pulses = float(sent[ZERO] + sent[ONE] + 2.0 * sent[DECOY])
        clicks = (lit - background) / float(self.live[0])
        if clicks <= 0.0:
            return Estimate(math.nan, math.nan)
        photons = -math.log1p(-min(clicks / pulses, 1.0 - 1e-12))
        loss_db = -10.0 * math.log10(photons / (self.protocol.mu * self.receiver.data_efficiency))
        relative = math.sqrt(lit + background) / (lit - background)
        statistical_db = 10.0 / math.log(10.0) * relative
        return Estimate(loss_db, math.hypot(statistical_db, self.receiver.data_efficiency_error_db))


def _units() -> dict[str, str]:
    counted = [f"monitor_{kind}_{output}" for kind in ("pairs", "empties") for output in ("bright", "dark")]
    units = dict.fromkeys(["n_key", "m_key", *counted, "foreign_tags", "sync_tags"], "count")
    units |= dict.fromkeys(["sifted_rate", "rate_data", "rate_bright", "rate_dark"], "1/s")
    units |= dict.fromkeys(["channel_loss", "channel_loss_error", "told_loss"], "dB")
    rates = ["", "_error", "_unclipped"]
    units |= dict.fromkeys([f"skr_restricted_collective{kind}" for kind in rates], "bit/s")
    units |= dict.fromkeys(["skr_cow4", "skr_cow4_unclipped"], "bit/s")
    pure = [
        "qber",
        "qber_low",
        "qber_high",
        "visibility",
        "visibility_error",
        "phase_error_cow4",
        "cut_off",
        "locked",
    ]
    pure += ["sync_figure_of_merit", "sync_threshold", "sync_runner_up", "sync_line_power"]
    return (
        units
        | dict.fromkeys(pure, "1")
        | {
            "duration": "s",
            "sync_residual": "ps",
            "sync_offset": "ppm",
        }
    )


COW_UNITS: Mapping[str, str] = MappingProxyType(_units())
"""Unit of each number of `CowResult.to_dict`; `remark` is text."""
