"""What the two generations of the quTAG differ in: inputs, counters, ranges and feature flags.

Reference: qutools tdcbase.h of 2019 (first generation) and of 2022 (second generation, quTAG MC and HR). The second is
an HR, so that the start input can be divided and need not reset the clock. Assumed: which features are bought.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag


class Feature(IntFlag):
    """TDC_FeatureFlag."""

    HBT = 0x1
    LIFETIME = 0x2
    CHANNELS_3 = 0x4
    CHANNELS_4 = 0x8
    CHANNELS_5 = 0x10
    MARKERS = 0x20
    FILTERS = 0x40
    EXTERNAL_CLOCK = 0x80
    SYNCHRONISATION = 0x100
    HIGH_RESOLUTION = 0x200


@dataclass(frozen=True)
class Generation:
    """Inputs are numbered from 0, the start input; `falling_markers` are the channel numbers of falling edges."""

    number: int
    version: float
    inputs: int
    highest_channel: int
    device_type: int
    no_device_type: int
    features: Feature
    selftest_period_ps: int
    selftest_pause_ps: int
    selftest_periods: tuple[int, int]
    selftest_sizes: tuple[int, int]
    selftest_pauses: tuple[int, int]
    falling_markers: tuple[int, ...]
    modules: int = 1

    @property
    def stops(self) -> range:
        """Numbers of the stop inputs."""
        return range(1, self.inputs)


_COMMON = Feature.HBT | Feature.LIFETIME | Feature.MARKERS | Feature.FILTERS

GENERATIONS: Mapping[int, Generation] = {
    1: Generation(
        number=1,
        version=1.5,
        inputs=5,
        highest_channel=20,
        device_type=0,
        no_device_type=1,
        features=_COMMON
        | Feature.CHANNELS_3
        | Feature.CHANNELS_4
        | Feature.CHANNELS_5
        | Feature.HIGH_RESOLUTION,
        selftest_period_ps=5_000,
        selftest_pause_ps=20_000,
        selftest_periods=(2, 60),
        selftest_sizes=(1, 65_535),
        selftest_pauses=(0, 10_000),
        falling_markers=(200, 201, 202, 203),
    ),
    2: Generation(
        number=2,
        version=2.0,
        inputs=33,
        highest_channel=96,
        device_type=1,
        no_device_type=3,
        features=_COMMON | Feature.EXTERNAL_CLOCK,
        selftest_period_ps=4_000,
        selftest_pause_ps=16_000,
        selftest_periods=(2, 100),
        selftest_sizes=(1, 1_000),
        selftest_pauses=(2, 10_000),
        falling_markers=(105, 106, 107, 108),
        modules=2,
    ),
}
