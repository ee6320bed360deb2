"""Width and arrival of periodic pulses in an oscilloscope's record: a Gaussian fitted to each pulse by itself.

V(t) = height exp(-(t - centre)^2 / (2 rms^2)) + baseline, least squares by Gauss-Newton steps for all pulses at once.
Pulse by pulse, jitter of the arrival does not count as width; that noise is correlated from sample to sample does not
matter, because errors come from the spread between pulses. Widths of pulses that are fitted all by themselves come out
too wide on average, in proportion to the square of the noise (0.7 % where single pulses spread by 7 %). So each pulse's
width is that of one linear step from the mean pulse, at the pulse's own centre, which leaves a tenth of that.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST_PULSES = 3
FWHM_PER_RMS = 2.0 * math.sqrt(2.0 * math.log(2.0))
_STEPS = 8
_STANDS_OUT = 5.0


@dataclass(frozen=True, eq=False)
class SyncPulses:
    """The pulses of a record. Arrays have shape (pulses,), `parameters` is of the mean pulse.

    `arrivals_ps` are the distances of the centres from the regular clock that fits them best, `arrival_ps` the place
    of that clock's pulses after the trigger, within a period.
    """

    widths_ps: Array
    arrivals_ps: Array
    arrival_ps: float
    period_ps: float
    height_v: float
    baseline_v: float

    @property
    def fwhm_ps(self) -> float:
        """Mean full width at half maximum."""
        return float(self.widths_ps.mean())

    @property
    def fwhm_error_ps(self) -> float:
        """Its standard error, from the spread between pulses."""
        return self.fwhm_spread_ps / math.sqrt(self.widths_ps.size)

    @property
    def fwhm_spread_ps(self) -> float:
        """Standard deviation of a single pulse's width."""
        return float(self.widths_ps.std(ddof=1))

    @property
    def jitter_ps(self) -> float:
        """Standard deviation of the arrivals; noise of the voltage contributes."""
        return math.sqrt(float(np.sum(self.arrivals_ps**2)) / (self.arrivals_ps.size - 2))

    @property
    def jitter_error_ps(self) -> float:
        """Its standard error."""
        return self.jitter_ps / math.sqrt(2.0 * (self.arrivals_ps.size - 2))


def find_sync_pulses(
    voltage_v: NDArray[np.floating], interval_ps: float, start_ps: float, period_ps: float
) -> SyncPulses:
    """The pulses in a record of shape (samples,), the first of which was taken `start_ps` after the trigger.

    `period_ps` is the nominal period. ValueError for a record that holds fewer than three whole periods, or no pulses
    that stand out of the noise.
    """
    volts = np.nan_to_num(np.asarray(voltage_v, np.float64), nan=float(np.nanmean(voltage_v)))
    size = round(period_ps / interval_ps)
    if size < 16 or volts.size < (FEWEST_PULSES + 1) * size:
        raise ValueError(
            f"sync pulses: {volts.size} samples of {interval_ps:g} ps do not hold {FEWEST_PULSES + 1} periods of "
            f"{period_ps:g} ps with 16 samples each"
        )
    firsts, windows = _windows(volts, period_ps / interval_ps, size)
    mean = windows.mean(axis=0)
    mean_pulse = _fitted(mean[np.newaxis], _guess(mean)[np.newaxis])
    _check_stands_out(mean_pulse[0], mean)
    found = _fitted(windows, np.repeat(mean_pulse, len(windows), axis=0))
    centres_ps = start_ps + (firsts + found[:, 1]) * interval_ps
    numbers = np.round((centres_ps - centres_ps[0]) / period_ps)
    fitted_period_ps, first_ps = np.polyfit(numbers, centres_ps, 1)
    return SyncPulses(
        widths_ps=FWHM_PER_RMS * _widths(windows, found) * interval_ps,
        arrivals_ps=centres_ps - (first_ps + fitted_period_ps * numbers),
        arrival_ps=float(first_ps % fitted_period_ps),
        period_ps=float(fitted_period_ps),
        height_v=float(mean_pulse[0, 0]),
        baseline_v=float(mean_pulse[0, 3]),
    )


def _windows(volts: Array, period: float, size: int) -> tuple[NDArray[np.int64], Array]:
    """First sample of each period, the pulse in its middle, and the samples, shape (pulses, size)."""
    whole = int((volts.size - size) / period)
    starts = np.floor(np.arange(whole) * period).astype(np.int64)
    folded = volts[starts[:, np.newaxis] + np.arange(size)].mean(axis=0)
    smooth = np.convolve(np.tile(folded, 3), np.ones(size // 8) / (size // 8), "same")[size : 2 * size]
    firsts = starts + (int(np.argmax(smooth)) - size // 2) % size
    return firsts, volts[firsts[:, np.newaxis] + np.arange(size)]


def _guess(pulse: Array) -> Array:
    """Height, centre, rms and baseline, as far as half of the height tells them."""
    baseline = float(np.median(pulse[: pulse.size // 4]))
    height = float(pulse.max()) - baseline
    above = np.flatnonzero(pulse - baseline > 0.5 * height)
    if not above.size:
        raise ValueError(f"sync pulses: none found: the record is flat at {baseline:.3g} V")
    return np.array([height, float(above.mean()), max(above.size / FWHM_PER_RMS, 1.0), baseline])


def _widths(pulses: Array, found: Array) -> Array:
    """The rms width of every row in samples, to first order in its deviation from the mean of those found."""
    common = np.abs(found).mean(axis=0)
    common[3] = found[:, 3].mean()
    start = np.repeat(common[np.newaxis], len(found), axis=0)
    start[:, 1] = found[:, 1]
    return _fitted(pulses, start, steps=1)[:, 2]


def _fitted(pulses: Array, start: Array, *, steps: int = _STEPS) -> Array:
    """Parameters of every row, shape (rows, 4): height, centre and rms in samples, baseline."""
    found = start.copy()
    place = np.arange(pulses.shape[1], dtype=np.float64)
    for _ in range(steps):
        height, centre, rms, baseline = (found[:, index, np.newaxis] for index in range(4))
        x = (place - centre) / rms
        bell = np.exp(-0.5 * x * x)
        slopes = np.stack(
            [bell, height * bell * x / rms, height * bell * x * x / rms, np.ones_like(bell)], axis=2
        )
        left = pulses - height * bell - baseline
        normal = np.einsum("rsi,rsj->rij", slopes, slopes)
        step = np.linalg.solve(normal, np.einsum("rsi,rs->ri", slopes, left)[..., np.newaxis])[..., 0]
        found += step
    return found


def _check_stands_out(parameters: Array, pulse: Array) -> None:
    height, centre, rms, baseline = parameters
    outside = np.abs(np.arange(pulse.size) - centre) > 4.0 * abs(rms)
    noise = float(pulse[outside].std()) if outside.sum() > 8 else math.inf
    if not (height > _STANDS_OUT * noise and 0.0 < centre < pulse.size):
        raise ValueError(
            f"sync pulses: none found: {height:.3g} V high over a baseline of {baseline:.3g} V "
            f"with {noise:.2g} V of noise"
        )


def combined(values: Array, errors: Array) -> tuple[float, float]:
    """Weighted mean of independent estimates, and its standard error."""
    weights = 1.0 / np.asarray(errors, np.float64) ** 2
    return float(np.sum(weights * values) / np.sum(weights)), 1.0 / math.sqrt(float(np.sum(weights)))
