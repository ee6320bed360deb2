"""Conversions between what instruments print (dB, dBm, seconds) and what we compute with (W, ratios, ps)."""

import math

PS_PER_S = 10**12
PLANCK_J_S = 6.62607015e-34
SPEED_OF_LIGHT_M_PER_S = 299_792_458.0


def db_to_ratio(decibel: float) -> float:
    """Power ratio of a level in dB; a loss of 3 dB is `db_to_ratio(-3)`."""
    return 10.0 ** (decibel / 10.0)


def ratio_to_db(ratio: float) -> float:
    """Level in dB of a power ratio; minus infinity for zero."""
    return 10.0 * math.log10(ratio) if ratio > 0.0 else -math.inf


def dbm_to_watt(power_dbm: float) -> float:
    """Watts of a power in dBm."""
    return 1e-3 * db_to_ratio(power_dbm)


def watt_to_dbm(power_w: float) -> float:
    """Power in dBm of watts; minus infinity in the dark."""
    return ratio_to_db(power_w / 1e-3)


def seconds_to_ps(seconds: float) -> int:
    """Seconds as integer picoseconds, rounded to the nearest."""
    return round(seconds * PS_PER_S)


def ps_to_seconds(picoseconds: int) -> float:
    """Picoseconds as seconds."""
    return picoseconds / PS_PER_S


def photon_energy_j(wavelength_m: float) -> float:
    """Energy of one photon in joule, h c / lambda."""
    return PLANCK_J_S * SPEED_OF_LIGHT_M_PER_S / wavelength_m


def format_duration(seconds: float) -> str:
    """Seconds in the unit a person would say: `12 s`, `3.4 min`, `1.5 h`, `10.0 d`."""
    for unit, length_s in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= length_s:
            return f"{seconds / length_s:.1f} {unit}"
    return f"{seconds:.3g} s"
