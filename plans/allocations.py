"""What a scan of allocations comes to: each one's key, its noise per launched watt, and the margins of the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.code import SIGNAL, Z
from qdci_lab.analysis.decoy import OneDecoyProtocol
from qdci_lab.analysis.launch_margin import NoiseSlope, fit_noise, greatest_power_w, key_rate_bps, resampled
from qdci_lab.analysis.noise import MulticoreFibre, icsrs_backward_w, icsrs_forward_w
from qdci_lab.units import dbm_to_watt, photon_energy_j, ratio_to_db

COUNTER, CO = "counter", "co"
DIRECTIONS = (COUNTER, CO)
PROTOCOL = ("mu", "nu", "p_signal", "p_z", "f_ec", "eps_sec", "eps_cor")
"""What every point says of the protocol, in the order of `OneDecoyProtocol`."""
RESAMPLED = 100
WANDER = 2e-4
"""Of the error rate from point to point, assumed: 0.03 rad off the axis and 0.015 rad of drift within a point."""
SCALE_ERROR_DB = 0.1
"""Of the launch power: the tap's power meter, assumed as usual for its kind. The same for all allocations."""

# The fibre of L'Aquila as Wu et al. and public reports of their paper have it, where they have it: 25.2 km, every core
# with two neighbours. Attenuation, coupling, Raman efficiency and the receiver's bandwidth are assumed.
FIBRE = MulticoreFibre(0.0461, 0.0461, 3e-9, 1e-6)
LENGTH_KM, NEIGHBOURS, BANDWIDTH_NM = 25.2, 2, 0.2


@dataclass(frozen=True, eq=False)
class Allocation:
    """One core for the quantum signal and one direction of the classical light; arrays are over launch powers.

    `fitted_bps` is the key rate at the highest power by the straight lines through the errors of all powers, which
    knows it better than that point alone; its error and that of `greatest_dbm` come from counts drawn anew.
    `greatest_dbm` is the launch power at which the key ends: infinite if no end was found, NaN if there never was one.
    """

    core: int
    direction: str
    powers_dbm: NDArray[np.float64]
    skr_bps: NDArray[np.float64]
    skr_error_bps: NDArray[np.float64]
    slope: NoiseSlope
    fitted_bps: float
    fitted_error_bps: float
    greatest_dbm: float
    greatest_error_db: float
    protocol: OneDecoyProtocol
    block: float
    pulse_rate_hz: float
    wavelength_nm: float

    @property
    def name(self) -> str:
        """For legends and sentences."""
        return f"core {self.core}, {self.direction}-propagating"

    @property
    def transmission(self) -> float:
        """From the fibre's input to a click, from the signal pulses' rate in the key basis without classical light."""
        protocol = self.protocol
        pulses_hz = self.pulse_rate_hz * protocol.p_z * protocol.p_signal
        return -2.0 / protocol.mu * math.log1p(-float(self.slope.n_hz[Z, SIGNAL]) / pulses_hz)

    def modelled_hz_per_w(self) -> float:
        """Noise that scattered over from two neighbours, by equations (6) and (7) of Ji et al. and assumed constants.

        Light that starts beside the signal has to pass the same fan and the same receiver as the signal.
        """
        formula = icsrs_backward_w if self.direction == COUNTER else icsrs_forward_w
        noise_w = float(formula(1.0, LENGTH_KM, FIBRE, bandwidth_nm=BANDWIDTH_NM, neighbours=NEIGHBOURS))
        through = math.exp(-FIBRE.quantum_attenuation_per_km * LENGTH_KM)
        return self.transmission * noise_w / through / photon_energy_j(1e-9 * self.wavelength_nm)

    def modelled_bps(self, powers_dbm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Key rate with this noise on top of what was measured without classical light."""
        modelled = NoiseSlope(np.array(self.modelled_hz_per_w()), 0.0, self.slope.n_hz, self.slope.m_hz)
        return key_rate_bps(modelled, 1e-3 * 10.0 ** (0.1 * powers_dbm), self.block, self.protocol)

    def line_bps(self, powers_dbm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Key rate with the noise that was found."""
        return key_rate_bps(self.slope, 1e-3 * 10.0 ** (0.1 * powers_dbm), self.block, self.protocol)


def allocations_of(rows: Sequence[Mapping[str, Any]]) -> list[Allocation]:
    """All allocations of a scan that were measured at two powers at least, best key at the highest power first.

    Where two have the same key, none for example, the one that bears more launch power is the better one.
    """
    places = {(round(float(row["allocation_core"])), _direction(row)) for row in rows}
    gathered = [_gathered(rows, *place) for place in sorted(places)]
    found = [_allocation(own, *place) for place, own in zip(sorted(places), gathered, strict=True) if own]
    return sorted(found, key=lambda one: (one.fitted_bps, np.nan_to_num(one.greatest_dbm, nan=-1e3)))[::-1]


def _direction(row: Mapping[str, Any]) -> str:
    return COUNTER if row["allocation_against"] > 0.5 else CO


def _gathered(rows: Sequence[Mapping[str, Any]], core: int, direction: str) -> list[Mapping[str, Any]]:
    own = [
        row for row in rows
        if round(float(row["allocation_core"])) == core and _direction(row) == direction
    ]  # fmt: skip
    powers = {float(row["allocation_power"]) for row in own}
    return sorted(own, key=lambda row: float(row["link_launch_power"])) if len(powers) > 1 else []


def _allocation(own: Sequence[Mapping[str, Any]], core: int, direction: str) -> Allocation:
    n, m = (
        np.array([[[row[f"link_{kind}_{basis}_{k}"] for k in ("signal", "decoy")] for basis in "zx"] for row in own])
        for kind in "nm"
    )  # fmt: skip
    seconds, powers_dbm, skr, skr_error = (
        np.array([float(row[f"link_{key}"]) for row in own])
        for key in ("duration", "launch_power", "skr_rusca_2018", "skr_rusca_2018_error")
    )
    power_w = np.array([dbm_to_watt(power) for power in powers_dbm])
    first = own[0]
    mu, nu, p_signal, p_z, f_ec, eps_sec, eps_cor = (float(first[f"allocation_{name}"]) for name in PROTOCOL)
    protocol = OneDecoyProtocol(mu, nu, p_signal, p_z, f_ec, eps_sec, eps_cor)
    block, about_w = float(first["allocation_block"]), float(power_w.max())
    slope = fit_noise(n, m, seconds, power_w, protocol, wander=WANDER)
    end_w = float(greatest_power_w(slope, block, protocol, about_w))
    redrawn = fit_noise(*resampled(n, m, RESAMPLED, wander=WANDER), seconds, power_w, protocol, wander=WANDER)
    ends_db = 10.0 * np.log10(greatest_power_w(redrawn, block, protocol, about_w))
    highest_w = power_w[-1:]
    return Allocation(
        core, direction, powers_dbm, skr, skr_error, slope,
        fitted_bps=float(key_rate_bps(slope, highest_w, block, protocol)[0]),
        fitted_error_bps=float(key_rate_bps(redrawn, highest_w, block, protocol).std()),
        greatest_dbm=10.0 * math.log10(1e3 * end_w) if end_w > 0.0 else math.nan,
        greatest_error_db=_spread_db(ends_db),
        protocol=protocol, block=block,
        pulse_rate_hz=float(first["allocation_pulse_rate"]), wavelength_nm=float(first["allocation_wavelength"]),
    )  # fmt: skip


def _spread_db(ends_db: NDArray[np.float64]) -> float:
    """Standard deviation, from the 68 % in the middle: some of them may have no end."""
    if np.isnan(ends_db).any():
        return math.nan
    low, high = np.quantile(ends_db, [0.16, 0.84], method="nearest")
    return float(0.5 * (high - low)) if np.isfinite(high) else math.inf


def told(ranked: Sequence[Allocation]) -> str:
    """The best allocation and its margins, in words."""
    if not ranked:
        return "no allocation was measured at two launch powers"
    best = ranked[0]
    power_dbm = float(best.powers_dbm[-1])
    lines = [
        f"best at {power_dbm:.1f} dBm into each of the other cores: quantum signal in {best.name}: "
        f"{1e-3 * best.fitted_bps:.2f} ± {1e-3 * best.fitted_error_bps:.2f} kb/s"
    ]
    lines += _beside(best, ranked[1:])
    lines.append(_power_margin(best, power_dbm))
    for one in ranked:
        ratio = float(one.slope.noise_hz_per_w) / one.modelled_hz_per_w()
        ratio_error = one.slope.noise_error_hz_per_w / one.modelled_hz_per_w()
        noise, error = (1e-3 * float(one.slope.noise_hz_per_w), 1e-3 * one.slope.noise_error_hz_per_w)
        lines.append(
            f"{one.name}: {1e-3 * one.fitted_bps:.2f} ± {1e-3 * one.fitted_error_bps:.2f} kb/s; "
            f"noise {noise:.2f} ± {error:.2f} clicks/s per mW = {ratio:.2f} ± {ratio_error:.2f} "
            "of inter-core Raman scattering with assumed constants"
        )
    return "\n".join(lines)


def _beside(best: Allocation, others: Sequence[Allocation]) -> list[str]:
    """The margin over the second best, and over the best of the other direction."""
    lines = []
    second = others[0] if others else None
    turned = next((one for one in others if one.direction != best.direction), None)
    for one in dict.fromkeys(one for one in (second, turned) if one is not None):
        margin, error = margin_bps(best, one)
        verdict = "" if margin > 2.0 * error else ": not to be told apart by this scan"
        lines.append(f"better than {one.name} by {1e-3 * margin:.2f} ± {1e-3 * error:.2f} kb/s{verdict}")
    return lines


def margin_bps(best: Allocation, other: Allocation) -> tuple[float, float]:
    """Key rate of one over the other's at the highest launch power, with its standard error."""
    return best.fitted_bps - other.fitted_bps, math.hypot(best.fitted_error_bps, other.fitted_error_bps)


def _power_margin(best: Allocation, power_dbm: float) -> str:
    if math.isnan(best.greatest_dbm):
        return "no key at any launch power"
    if math.isinf(best.greatest_dbm):
        return "no rise of the errors with launch power was seen: where the key ends is not known"
    margin_db = best.greatest_dbm - power_dbm
    error_db = math.hypot(best.greatest_error_db, SCALE_ERROR_DB)
    dark_bps = float(best.line_bps(np.array([-60.0]))[0])
    if best.fitted_bps == 0.0:
        return f"no key at this power; it ends at {best.greatest_dbm:.1f} ± {error_db:.1f} dBm"
    less_db = -ratio_to_db(best.fitted_bps / dark_bps)
    return (
        f"this costs {less_db:.2f} dB of the key rate in the dark; the key ends {margin_db:+.1f} ± {error_db:.1f} dB "
        f"from there, at {best.greatest_dbm:.1f} dBm"
    )
