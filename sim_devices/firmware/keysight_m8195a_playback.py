"""What the M8195A's four connectors play: segments routed by the DAC mode, brought to one rate and one length.

Reference: Keysight M8195A Revision 2 User's Guide, section 1.5 (operation modes) and 6.21.1 (waveform data format).
The component repeats four arrays of one length at one rate. So channels of extended memory, where another channel plays
internal memory at the full rate, have each sample repeated as often as the divider says (the interpolation filters are
not simulated), and shorter segments are repeated up to a common length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import NDArray

from sim_devices.firmware.keysight_m8195a_memory import Segment
from sim_devices.firmware.scpi_errors import SETTINGS_CONFLICT, ScpiError

CHANNELS = (1, 2, 3, 4)
LONGEST = 2**28
MARKER_CODE = 127


@dataclass(frozen=True)
class Route:
    """What a connector plays: the samples of a channel, or (marker 1 or 2) one of its marker bits."""

    channel: int
    marker: int = 0


def _routes(**sources: Route) -> Mapping[int, Route]:
    return {int(connector[1:]): route for connector, route in sources.items()}


ROUTES: Mapping[str, Mapping[int, Route]] = {
    "SING": _routes(c1=Route(1)),
    "DUAL": _routes(c1=Route(1), c4=Route(4)),
    "FOUR": _routes(c1=Route(1), c2=Route(2), c3=Route(3), c4=Route(4)),
    "MARK": _routes(c1=Route(1), c3=Route(1, 1), c4=Route(1, 2)),
    "DCD": _routes(c1=Route(1), c2=Route(2), c3=Route(1), c4=Route(2)),
    "DCM": _routes(c1=Route(1), c2=Route(2), c3=Route(1, 1), c4=Route(1, 2)),
}


def sourced_channels(dac_mode: str) -> list[int]:
    """The channels that have waveforms of their own in a DAC mode."""
    return sorted({route.channel for route in ROUTES[dac_mode].values()})


def has_markers(dac_mode: str, channel: int) -> bool:
    """Whether the channel's samples come with marker bytes."""
    return any(route.channel == channel and route.marker for route in ROUTES[dac_mode].values())


def waveforms(
    dac_mode: str, segments: Mapping[int, Segment | None], repeats: Mapping[int, int]
) -> tuple[NDArray[np.int8] | None, ...]:
    """One array per connector, None where nothing plays; all of one length.

    `segments` and `repeats` (how often each sample is held) are by channel. Raises -221 if the common length would be
    more than 2^28 samples, which is a limit of the simulation.
    """
    held: dict[int, NDArray[np.int8]] = {}
    for connector, route in ROUTES[dac_mode].items():
        samples = _samples(segments.get(route.channel), route)
        if samples is not None:
            times = repeats[route.channel]
            held[connector] = samples if times == 1 else np.repeat(samples, times)
    length = lcm(*(len(samples) for samples in held.values()))
    if length > LONGEST:
        raise ScpiError(SETTINGS_CONFLICT)
    return tuple(
        np.tile(held[connector], length // len(held[connector])) if connector in held else None
        for connector in CHANNELS
    )


def _samples(segment: Segment | None, route: Route) -> NDArray[np.int8] | None:
    if segment is None:
        return None
    if not route.marker:
        return segment.samples
    return np.where(segment.markers & route.marker, MARKER_CODE, -MARKER_CODE).astype(np.int8)
