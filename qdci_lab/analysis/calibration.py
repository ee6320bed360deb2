"""Fits that calibrations end in: a gate's share of the pulses, and an attenuated source's mean photon number."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qdci_lab.units import photon_energy_j

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GateFit:
    """Clicks of pulses with Gaussian timing over a flat background, as a gate about the pulses takes them in.

    `rms_ps` is the timing's rms width, `signal_hz` the rate of all pulses' clicks, `background_hz_per_ps` the flat
    rate per width of the gate; each with its standard error. `chi2_per_freedom` is near 1 where the model holds.
    """

    rms_ps: float
    rms_error_ps: float
    signal_hz: float
    signal_error_hz: float
    background_hz_per_ps: float
    background_error_hz_per_ps: float
    chi2_per_freedom: float

    def rates_hz(self, widths_ps: ArrayLike) -> Array:
        """The fitted rate at each gate width."""
        return _gated(
            np.asarray(widths_ps, np.float64), self.rms_ps, self.signal_hz, self.background_hz_per_ps
        )


def fit_gate(widths_ps: ArrayLike, rates_hz: ArrayLike, errors_hz: ArrayLike) -> GateFit:
    """Fit S erf(w / (2 sqrt2 rms)) + B w to rates behind gates of width w; ValueError with fewer than four widths."""
    from scipy.optimize import curve_fit

    widths, rates = np.asarray(widths_ps, np.float64), np.asarray(rates_hz, np.float64)
    errors = np.asarray(errors_hz, np.float64)
    if np.unique(widths).size < 4:
        raise ValueError("a gate's shape has three parameters: four different widths at least are needed")
    half = float(np.interp(0.68 * rates.max(), rates[np.argsort(rates)], widths[np.argsort(rates)]))
    start = (max(0.5 * half, 1.0), float(rates.max()), 0.0)
    found, covariance = curve_fit(
        _gated, widths, rates, start, errors, absolute_sigma=True, x_scale=(100.0, start[1], start[1] / 1e4),
        method="trf", bounds=([1e-3, 0.0, -np.inf], np.inf),
    )  # fmt: skip
    deviations = np.sqrt(np.diag(covariance))
    chi2 = float(np.sum(((rates - _gated(widths, *found)) / errors) ** 2))
    values = [float(value) for pair in zip(found, deviations, strict=True) for value in pair]
    return GateFit(*values, chi2_per_freedom=chi2 / max(widths.size - 3, 1))


def _gated(widths_ps: Array, rms_ps: float, signal_hz: float, background_hz_per_ps: float) -> Array:
    from scipy.special import erf

    return signal_hz * erf(widths_ps / (2.0 * math.sqrt(2.0) * rms_ps)) + background_hz_per_ps * widths_ps


@dataclass(frozen=True)
class SourceFit:
    """An attenuated pulsed source: mean photon number at 0 dB, and dB of attenuation per commanded dB.

    Errors are the fit's own; `systematic` is the relative standard uncertainty that all powers share.
    """

    unattenuated: float
    unattenuated_error: float
    slope: float
    slope_error: float
    systematic: float

    @property
    def uncertainty(self) -> float:
        """Standard uncertainty of the mean photon number at 0 dB, the power meter's calibration included."""
        return math.hypot(self.unattenuated_error, self.systematic * self.unattenuated)

    def mean_photon_number(self, attenuation_db: float) -> float:
        """At another setting of the attenuator."""
        return self.unattenuated * 10.0 ** (-0.1 * self.slope * attenuation_db)

    def attenuation_db(self, mean_photon_number: float) -> float:
        """What the attenuator must be set to."""
        return 10.0 * math.log10(self.unattenuated / mean_photon_number) / self.slope


def mean_photon_number(power_w: float, repetition_rate_hz: float, wavelength_nm: float) -> float:
    """Photons a pulse in a mean power: P / (f h nu)."""
    return power_w / (repetition_rate_hz * photon_energy_j(wavelength_nm * 1e-9))


def fit_source(
    attenuations_db: ArrayLike, numbers: ArrayLike, errors: ArrayLike, *, systematic: float
) -> SourceFit:
    """Fit log10 of mean photon numbers against the commanded attenuation, weighted; two attenuations at least."""
    attenuation = np.asarray(attenuations_db, np.float64)
    number = np.asarray(numbers, np.float64)
    if np.unique(attenuation).size < 2 or not (number > 0.0).all():
        raise ValueError(
            "a source's attenuation needs light (a positive mean photon number) at two attenuations"
        )
    log_errors = np.asarray(errors, np.float64) / number / math.log(10.0)
    design = np.stack([np.ones_like(attenuation), -0.1 * attenuation], axis=1) / log_errors[:, np.newaxis]
    covariance = np.linalg.inv(design.T @ design)
    intercept, slope = covariance @ design.T @ (np.log10(number) / log_errors)
    unattenuated = 10.0**intercept
    return SourceFit(
        unattenuated=float(unattenuated),
        unattenuated_error=float(unattenuated * math.log(10.0) * math.sqrt(covariance[0, 0])),
        slope=float(slope),
        slope_error=float(math.sqrt(covariance[1, 1])),
        systematic=systematic,
    )
