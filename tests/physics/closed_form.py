"""What the bench of a twin.toml should count and how much key that gives, in closed form.

Independent of the twin and of the laboratory's analysis: only numbers are shared, through the file. Sources:
Raman noise between cores, Ji et al. eq. (7); counts and errors of decoy-state BB84 with a passive choice of basis,
Lim et al. 2014 appendix; one-decoy finite key, Rusca et al. 2018, finite-size bounds clipped to what was counted.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLANCK_J_S = 6.62607015e-34
LIGHT_M_PER_S = 299_792_458.0


@dataclass(frozen=True)
class Protocol:
    """One-decoy BB84 as it is run (Ji 4.1)."""

    mu: float = 0.523
    nu: float = 0.131
    share_mu: float = 0.798
    share_z: float = 0.898
    period_s: float = 1e-8
    error_correction: float = 1.16
    secrecy: float = 1e-9
    correctness: float = 1e-15


@dataclass(frozen=True)
class Bench:
    """The numbers of a twin.toml that matter here."""

    transmission: float
    """From the fan-in of core 1 to the detectors, both bases together."""
    noise_transmission: float
    """From the b end of core 1, fan-out included, to the decoder's outputs together."""
    error: float
    efficiency: float
    dark_hz: float
    dead_s: float
    afterpulse: float
    filter_nm: float
    raman_w_per_nm_and_w: float
    """Raman noise inside the end of core 1 per watt launched at that end into every data core."""


def ratio(decibel: float) -> float:
    return 10.0 ** (decibel / 10.0)


def backward_icsrs(length_km: float, beta: float, h: float, alpha_q: float, alpha_c: float) -> float:
    """Eq. (7): noise per nm at the pump's end of a neighbouring core, per watt of pump."""
    total = alpha_q + alpha_c
    one = -math.expm1(-total * length_km) / total
    other = -math.expm1(-(total + 2.0 * h) * length_km) / (total + 2.0 * h)
    return beta * (one - other)


def forward_icsrs(length_km: float, beta: float, h: float, alpha_q: float, alpha_c: float) -> float:
    """Eq. (6): noise per nm at the far end of a neighbouring core, per watt of pump."""
    difference = alpha_q - alpha_c
    one = math.expm1(difference * length_km) / difference
    other = math.expm1((difference - 2.0 * h) * length_km) / (difference - 2.0 * h)
    return beta * math.exp(-alpha_q * length_km) * (one - other)


def parts_of(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The components' tables of a twin.toml."""
    return tomllib.loads(path.read_text(encoding="utf-8"))["components"]


def read_bench(path: Path) -> Bench:
    """Gather the numbers of a twin.toml that has the components of the ji_mcf bench."""
    parts = parts_of(path)
    fibre, decoder, detectors = parts["fibre"], parts["decoder"], parts["detectors"]
    behind_db = (
        parts["switch"]["insertion_loss_db"]
        + parts["filter"]["insertion_loss_db"]
        + parts["polarization_controller"]["insertion_loss_db"]
        + decoder["receiver_loss_db"]
    )
    fans_db = fibre["fan_loss_db"]
    alpha_q, alpha_c = fibre["quantum_attenuation_per_km"], fibre["classical_attenuation_per_km"]
    noise = backward_icsrs(
        fibre["length_km"], fibre["raman_efficiency_per_nm_km"], fibre["crosstalk_per_km"], alpha_q, alpha_c
    )
    launched = sum(ratio(-fans_db[core - 1]) for core in (2, 3, 5, 6, 7))
    return Bench(
        transmission=ratio(-2.0 * fans_db[0] - behind_db) * math.exp(-alpha_q * fibre["length_km"]),
        noise_transmission=ratio(-fans_db[0] - behind_db),
        error=decoder["intrinsic_error"],
        efficiency=detectors["efficiency"],
        dark_hz=detectors["dark_rate_hz"],
        dead_s=detectors["dead_time_ns"] * 1e-9,
        afterpulse=detectors["afterpulse_probability"],
        filter_nm=parts["filter"]["bandwidth_nm"],
        raman_w_per_nm_and_w=fibre["in_band_noise_factor"] * noise * launched,
    )


@dataclass(frozen=True)
class Prediction:
    """Per period of the source; dictionaries by basis ("Z", "X") and intensity ("mu", "nu")."""

    clicks: float
    """Of one detector."""
    counts: Mapping[tuple[str, str], float]
    """Sifted: prepared and measured in the same basis; a double click counts once."""
    errors: Mapping[tuple[str, str], float]

    def qber(self, basis: str) -> float:
        counts = self.counts[basis, "mu"] + self.counts[basis, "nu"]
        return (self.errors[basis, "mu"] + self.errors[basis, "nu"]) / counts


def noise_hz(bench: Bench, launch_dbm: float | None) -> float:
    """Noise counts of one detector; `launch_dbm` is the power into each of the five data cores, None for none."""
    if launch_dbm is None:
        return 0.0
    power_w = (
        bench.raman_w_per_nm_and_w * 1e-3 * ratio(launch_dbm) * bench.filter_nm * bench.noise_transmission
    )
    return bench.efficiency * power_w / 4.0 / (PLANCK_J_S * LIGHT_M_PER_S / 1550e-9)


def predict(
    bench: Bench, protocol: Protocol, launch_dbm: float | None = None, *, discard_cross: bool = True
) -> Prediction:
    """Click, count and error probabilities per period.

    Dead time silences a detector for a whole number of periods after a click (non-paralysable). Afterpulses are
    spread over many periods, so they are a steady hazard, in proportion to the clicks.
    """
    per_photon = bench.efficiency * bench.transmission / 2.0
    intensities = {"mu": (protocol.mu, protocol.share_mu), "nu": (protocol.nu, 1.0 - protocol.share_mu)}
    bases = {"Z": protocol.share_z, "X": 1.0 - protocol.share_z}
    steady = (bench.dark_hz + noise_hz(bench, launch_dbm)) * protocol.period_s
    lost_periods = max(0, math.ceil(bench.dead_s / protocol.period_s) - 1)
    weak, strong = per_photon * bench.error, per_photon * (1.0 - bench.error)
    hazard, live, clicks = steady, 1.0, 0.0
    for _ in range(50):
        hazard = steady + bench.afterpulse * clicks
        fresh = sum(
            share * 0.25 * (p_click(strong * k, hazard) + p_click(weak * k, hazard))
            + share * 0.5 * p_click(per_photon * k / 2.0, hazard)
            for k, share in intensities.values()
        )
        live = 1.0 / (1.0 + lost_periods * fresh)
        clicks = live * fresh
    counts, errors = {}, {}
    for basis, share_basis in bases.items():
        for name, (k, share) in intensities.items():
            right, wrong = live * p_click(strong * k, hazard), live * p_click(weak * k, hazard)
            # A click in the other basis as well takes the slot away, unless such slots are counted in both.
            other = live * p_click(per_photon * k / 2.0, hazard) if discard_cross else 0.0
            weight = share * share_basis * (1.0 - other) ** 2
            counts[basis, name] = weight * (1.0 - (1.0 - right) * (1.0 - wrong))
            errors[basis, name] = weight * (wrong * (1.0 - right) + 0.5 * right * wrong)
    return Prediction(clicks, counts, errors)


def p_click(photoelectrons: float, steady: float) -> float:
    """Chance that a detector at rest clicks in a period."""
    return -math.expm1(-photoelectrons - steady)


def entropy(x: float) -> float:
    return 0.0 if x <= 0.0 or x >= 1.0 else -x * math.log2(x) - (1.0 - x) * math.log2(1.0 - x)


def key_rate_hz(prediction: Prediction, protocol: Protocol, n_z: float = 1e8) -> float:
    """Secret bits per second when `n_z` sifted bits are distilled at once (Rusca et al. 2018, one decoy)."""
    return key_bits(prediction, protocol, n_z) / (n_z / sifted_hz(prediction, protocol))


def sifted_hz(prediction: Prediction, protocol: Protocol) -> float:
    """Sifted key bits per second."""
    return (prediction.counts["Z", "mu"] + prediction.counts["Z", "nu"]) / protocol.period_s


def key_bits(prediction: Prediction, protocol: Protocol, n_z: float) -> float:
    """Length of the key from `n_z` sifted bits at expected counts; zero if there is none."""
    mu, nu = protocol.mu, protocol.nu
    shares = {"mu": protocol.share_mu, "nu": 1.0 - protocol.share_mu}
    means = {"mu": mu, "nu": nu}
    periods = n_z / (prediction.counts["Z", "mu"] + prediction.counts["Z", "nu"])
    n = {key: periods * value for key, value in prediction.counts.items()}
    m = {key: periods * value for key, value in prediction.errors.items()}
    tau0 = sum(shares[k] * math.exp(-means[k]) for k in means)
    tau1 = sum(shares[k] * math.exp(-means[k]) * means[k] for k in means)
    epsilon = protocol.secrecy / 19.0

    def bound(table: Mapping[tuple[str, str], float], basis: str, k: str, sign: int) -> float:
        total = table[basis, "mu"] + table[basis, "nu"]
        moved = table[basis, k] + sign * math.sqrt(total / 2.0 * math.log(1.0 / epsilon))
        return math.exp(means[k]) / shares[k] * min(max(moved, 0.0), total)

    def single(basis: str) -> float:
        total = n[basis, "mu"] + n[basis, "nu"]
        delta = math.sqrt(total / 2.0 * math.log(1.0 / epsilon))
        vacuum = 2.0 * (min(tau0 * bound(m, basis, k, +1) for k in means) + delta)
        return (
            tau1
            * mu
            / (nu * (mu - nu))
            * (
                bound(n, basis, "nu", -1)
                - nu**2 / mu**2 * bound(n, basis, "mu", +1)
                - (mu**2 - nu**2) / mu**2 * vacuum / tau0
            )
        )

    vacuum_z = max(0.0, tau0 / (mu - nu) * (mu * bound(n, "Z", "nu", -1) - nu * bound(n, "Z", "mu", +1)))
    single_z, single_x = single("Z"), single("X")
    if single_z <= 0.0 or single_x <= 0.0:
        return 0.0
    flawed_x = tau1 / (mu - nu) * (bound(m, "X", "mu", +1) - bound(m, "X", "nu", -1))
    phase_error = min(0.5, flawed_x / single_x)
    phase_error += deviation(protocol.secrecy, phase_error, single_z, single_x)
    leak = protocol.error_correction * n_z * entropy(prediction.qber("Z"))
    cost = 6.0 * math.log2(19.0 / protocol.secrecy) + math.log2(2.0 / protocol.correctness)
    return max(0.0, vacuum_z + single_z * (1.0 - entropy(min(0.5, phase_error))) - leak - cost)


def deviation(epsilon: float, b: float, c: float, d: float) -> float:
    """Statistical distance between the error rates of two samples (gamma of the paper)."""
    spread = (c + d) * (1.0 - b) * b / (c * d * math.log(2.0))
    return math.sqrt(spread * math.log2((c + d) / (c * d * (1.0 - b) * b) * 19.0**2 / epsilon**2))
