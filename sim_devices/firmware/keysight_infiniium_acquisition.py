"""One acquisition of an Infiniium: when it is triggered and done, and the record of each channel.

Only what is read is sampled: an acquisition keeps the signals of its moment, and its records are drawn when the first
reader comes, from a generator keyed by seed, acquisition and channel.

Assumed: an AUTO sweep that finds no edge triggers by itself after 100 ms; the auxiliary input and the mains always give
an edge at once; with everything on AUTO the record covers the screen at the highest rate that memory allows; a depth
alone lowers the rate, out of 1, 2, 4, 8 in every decade, until the record covers the screen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.keysight_infiniium_setup import (
    BANDWIDTH_HZ,
    SAMPLE_RATE_HZ,
    AcquireSetup,
    ChannelSetup,
    Setup,
    TimebaseSetup,
    channel_of,
)
from sim_devices.firmware.keysight_infiniium_signal import Converter, Signal, front_end_noise_v

FEWEST_POINTS = 16
CHANNEL_LIMIT_HZ = 1e9
_AUTO_TRIGGER_S = 0.1
_RATES_HZ = [mantissa * 10.0**decade for decade in range(10, 2, -1) for mantissa in (8, 4, 2, 1)]


@dataclass(frozen=True)
class Sampling:
    """How many points at which rate."""

    points: int
    rate_hz: float

    @property
    def duration_s(self) -> float:
        """Time that a record covers."""
        return self.points / self.rate_hz


@dataclass(frozen=True)
class Trigger:
    """The trigger of an acquisition: how long after arming it came, and whether by itself."""

    after_s: float
    forced: bool


@dataclass(frozen=True)
class Record:
    """The digitised samples of one channel and all that turns them into volts and seconds."""

    words: NDArray[np.int16]
    channel: ChannelSetup
    converter: Converter
    start_s: float
    sampling: Sampling


def sampling_of(acquire: AcquireSetup, timebase: TimebaseSetup, memory_points: int) -> Sampling:
    """Points and rate of the next record."""
    deepest = acquire.points or memory_points
    rate_hz = acquire.rate_hz
    if rate_hz is None:
        slowest_hz = SAMPLE_RATE_HZ.minimum
        rate_hz = next((rate for rate in _RATES_HZ if deepest / rate >= timebase.range_s), slowest_hz)
    points = acquire.points or min(max(round(timebase.range_s * rate_hz), FEWEST_POINTS), memory_points)
    return Sampling(points, rate_hz)


def bandwidth_of(acquire: AcquireSetup, channel: ChannelSetup) -> float:
    """The bandwidth in front of a channel's converter."""
    bandwidth_hz = acquire.bandwidth_hz or BANDWIDTH_HZ.maximum
    return min(bandwidth_hz, CHANNEL_LIMIT_HZ) if channel.limited else bandwidth_hz


def find_trigger(setup: Setup, signals: Mapping[int, Signal], now_ps: int) -> Trigger | None:
    """The trigger of an acquisition armed now, None if it waits for one that never comes."""
    channel = channel_of(setup.trigger.source)
    if channel is None:
        return Trigger(0.0, forced=False)
    signal = signals[channel]
    level_v = setup.channels[channel].trigger_level_v
    samples = signal.crossing(signal.position(now_ps), level_v, setup.trigger.slope)
    if samples is not None:
        return Trigger(samples / signal.rate_hz, forced=False)
    return Trigger(_AUTO_TRIGGER_S, forced=True) if setup.trigger.sweep == "AUTO" else None


class Acquisition:
    """A record of every acquired channel, from arming to done.

    `ends_ps` is None while it waits for a trigger that never comes.
    """

    def __init__(
        self,
        setup: Setup,
        signals: Mapping[int, Signal],
        channels: tuple[int, ...],
        *,
        armed_ps: int,
        memory_points: int,
        key: tuple[int, ...],
        force: bool = False,
    ) -> None:
        self.channels = channels
        self.armed_ps = armed_ps
        self.acquire = replace(setup.acquire)
        self.timebase = replace(setup.timebase)
        self.sampling = sampling_of(setup.acquire, setup.timebase, memory_points)
        self.trigger = Trigger(0.0, forced=True) if force else find_trigger(setup, signals, armed_ps)
        self._setups = {channel: replace(setup.channels[channel]) for channel in channels}
        self._signals = signals
        self._key = key
        self._records: dict[int, Record] = {}

    @property
    def count(self) -> int:
        """Sweeps that the acquisition takes."""
        if self.acquire.averaging:
            return self.acquire.averages
        return self.acquire.segments if self.acquire.mode.startswith("SEG") else 1

    @property
    def ends_ps(self) -> int | None:
        """Lab time at which the last sweep is in memory."""
        if self.trigger is None:
            return None
        return self.armed_ps + seconds_to_ps((self.trigger.after_s + self.sampling.duration_s) * self.count)

    @property
    def start_s(self) -> float:
        """Time of the first sample after the trigger; it is before the trigger where negative."""
        return self.timebase.position_s - self.timebase.before_trigger * self.sampling.duration_s

    def record(self, channel: int) -> Record:
        """The channel's record; it is sampled when it is asked for first."""
        if channel not in self._records:
            self._records[channel] = self._sample(channel)
        return self._records[channel]

    def _sample(self, channel: int) -> Record:
        own, signal = self._setups[channel], self._signals[channel]
        bandwidth_hz = bandwidth_of(self.acquire, own)
        if bandwidth_hz < BANDWIDTH_HZ.maximum:
            signal = signal.limited_to(bandwidth_hz)
        averages = self.acquire.averages if self.acquire.averaging else 1
        converter = Converter(
            own.range_v,
            own.offset_v,
            self.acquire.averaging or self.acquire.mode in ("HRES", "SEGH"),
            front_end_noise_v(own.range_v, bandwidth_hz, averages),
        )
        after_s = self.trigger.after_s if self.trigger else 0.0
        first = signal.position(self.armed_ps) + (after_s + self.start_s) * signal.rate_hz
        volts = signal.sampled(first % len(signal.samples_v), self.sampling.rate_hz, self.sampling.points)
        if own.inverted:
            np.negative(volts, out=volts)
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((*self._key, channel))))
        return Record(converter.words(volts, generator), own, converter, self.start_s, self.sampling)
