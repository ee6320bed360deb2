"""What a BB84 acquisition comes to: counts, error rates and key rates, as numbers with units."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from qdci_lab.analysis.code import DECOY, DETECTORS, SIGNAL, X, Z
from qdci_lab.analysis.counts import SiftedCounts
from qdci_lab.analysis.decoy import PROOFS, OneDecoyProtocol, Proof
from qdci_lab.analysis.key_rate import KeyRate, estimate_key_rate
from qdci_lab.analysis.receiver import Receiver
from qdci_lab.analysis.statistics import BinomialInterval, Proportion, estimate_proportion
from qdci_lab.analysis.synchronisation import Synchronisation
from qdci_lab.analysis.timetags import SiftedTags
from qdci_lab.units import ps_to_seconds

Scalar = float | int


@dataclass(frozen=True, eq=False)
class Bb84Result:
    """One acquisition evaluated; `key_rates` has an entry for each proof, error rates an interval."""

    duration_ps: int
    counts: SiftedCounts
    tags: SiftedTags
    qber_z: Proportion
    qber_x: Proportion
    key_rates: Mapping[Proof, KeyRate]
    synchronisation: Synchronisation

    def to_dict(self) -> dict[str, Scalar]:
        """Flat scalars, keyed as in `UNITS`."""
        return {
            "duration": ps_to_seconds(self.duration_ps),
            **self._count_scalars(),
            **self._error_scalars(),
            **self._key_scalars(),
            **self._tag_scalars(),
            **self._lock_scalars(),
        }

    def _count_scalars(self) -> dict[str, Scalar]:
        scalars: dict[str, Scalar] = {"n_z": int(self.counts.n_z), "n_x": int(self.counts.n_x)}
        for basis, basis_name in ((Z, "z"), (X, "x")):
            for intensity, intensity_name in ((SIGNAL, "signal"), (DECOY, "decoy")):
                scalars[f"n_{basis_name}_{intensity_name}"] = int(self.counts.n[basis, intensity])
                scalars[f"m_{basis_name}_{intensity_name}"] = int(self.counts.m[basis, intensity])
        return scalars

    def _error_scalars(self) -> dict[str, Scalar]:
        scalars: dict[str, Scalar] = {}
        for name, qber in (("qber_z", self.qber_z), ("qber_x", self.qber_x)):
            scalars |= {name: qber.value, f"{name}_low": qber.low, f"{name}_high": qber.high}
        return scalars

    def _key_scalars(self) -> dict[str, Scalar]:
        scalars: dict[str, Scalar] = {}
        for proof, rate in self.key_rates.items():
            name = proof.replace("-", "_")
            scalars |= {
                f"skr_{name}": rate.skr_bps,
                f"skr_{name}_error": rate.skr_error_bps,
                f"skr_{name}_unclipped": rate.skr_unclipped_bps,
                f"phase_error_{name}": float(rate.bounds.phi_z),
                f"key_length_{name}": float(rate.bounds.key_length),
            }
        return scalars

    def _tag_scalars(self) -> dict[str, Scalar]:
        seconds = ps_to_seconds(self.duration_ps)
        scalars: dict[str, Scalar] = {
            f"rate_{name.lower()}": float(clicks) / seconds
            for name, clicks in zip(DETECTORS, self.tags.singles, strict=True)
        }
        return scalars | {
            "count_rate": float(self.tags.singles.sum()) / seconds,
            "sifted_rate_z": float(self.counts.n_z) / seconds,
            "gated_fraction": self.tags.gated_fraction,
            "cross_basis_doubles": self.tags.cross_basis_doubles,
            "same_basis_doubles": self.tags.same_basis_doubles,
            "late_clicks": self.tags.late,
            "foreign_tags": self.tags.foreign,
        }

    def _lock_scalars(self) -> dict[str, Scalar]:
        lock = self.synchronisation
        return {
            "sync_figure_of_merit": lock.figure_of_merit,
            "sync_threshold": lock.threshold,
            "sync_runner_up": lock.runner_up,
            "sync_line_power": lock.line_power,
            "sync_residual": lock.residual_ps,
            "sync_offset": lock.offset_ppm,
            "sync_drift": lock.clock.drift_ppb_per_s,
            "sync_period": lock.clock.period_ps,
            "sync_frame_offset": lock.clock.frame_offset,
            "sync_tags": lock.tags,
        }


def evaluate(
    tags: SiftedTags,
    synchronisation: Synchronisation,
    protocol: OneDecoyProtocol,
    receiver: Receiver,
    duration_ps: int,
    *,
    projected_n_z: float | None = None,
    confidence: float = 0.95,
    interval: BinomialInterval = "wilson",
) -> Bb84Result:
    """Error rates and key rates of sifted tags, under the conventions of `receiver` and both proofs."""
    counts = tags.counts(receiver.double_click, receiver.cross_click)
    duration_s = ps_to_seconds(duration_ps)
    qber_z, qber_x = (
        estimate_proportion(float(wrong), float(all_clicks), confidence=confidence, interval=interval)
        for wrong, all_clicks in ((counts.m_z, counts.n_z), (counts.m_x, counts.n_x))
    )
    rates: dict[Proof, KeyRate] = {
        proof: estimate_key_rate(counts, protocol, duration_s, proof, projected_n_z=projected_n_z)
        for proof in PROOFS
    }
    return Bb84Result(
        duration_ps=duration_ps,
        counts=counts,
        tags=tags,
        qber_z=qber_z,
        qber_x=qber_x,
        key_rates=MappingProxyType(rates),
        synchronisation=synchronisation,
    )


def _units() -> dict[str, str]:
    counted = [f"{kind}_{basis}_{k}" for kind in "nm" for basis in "zx" for k in ("signal", "decoy")]
    units = dict.fromkeys(["n_z", "n_x", *counted], "count")
    units |= dict.fromkeys([f"qber_{b}{end}" for b in "zx" for end in ("", "_low", "_high")], "1")
    for proof in (proof.replace("-", "_") for proof in PROOFS):
        units |= dict.fromkeys([f"skr_{proof}{kind}" for kind in ("", "_error", "_unclipped")], "bit/s")
        units |= {f"phase_error_{proof}": "1", f"key_length_{proof}": "bit"}
    units |= dict.fromkeys([f"rate_{name.lower()}" for name in DETECTORS], "1/s")
    units |= dict.fromkeys(["count_rate", "sifted_rate_z"], "1/s")
    units |= dict.fromkeys(
        ["cross_basis_doubles", "same_basis_doubles", "late_clicks", "foreign_tags"], "count"
    )
    units |= dict.fromkeys(
        ["sync_figure_of_merit", "sync_threshold", "sync_runner_up", "sync_line_power"], "1"
    )
    return units | {
        "duration": "s",
        "gated_fraction": "1",
        "sync_residual": "ps",
        "sync_offset": "ppm",
        "sync_drift": "ppb/s",
        "sync_period": "ps",
        "sync_frame_offset": "slot",
        "sync_tags": "count",
    }


UNITS: Mapping[str, str] = MappingProxyType(_units())
