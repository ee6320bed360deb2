"""Settings of a quTAG's inputs and modes, as its library sets and reads them.

Reference: qutools tdcbase.h. Assumed: element n of the channel delays is input n; a calibration takes 3 s. Thresholds
and edges are remembered but have no effect, since the twin knows pulses by their time only. All inputs are enabled at
first, as the maker's examples expect. Nothing is connected to the start input of the twin, so that it never resets the
clock.
"""

from collections.abc import Sequence

from sim_devices.firmware.qutag_codes import (
    MAX_DELAY_PS,
    MAX_THRESHOLD_V,
    MIN_THRESHOLD_V,
    SYNC_DIVIDERS,
    THRESHOLD_STEP_V,
    TIMEBASE_S,
    ReturnCode,
    SignalConditioning,
    TdcRefusal,
    require_range,
)
from sim_devices.firmware.qutag_filters import OutputFilters, SingleStops
from sim_devices.firmware.qutag_profile import GENERATIONS, Feature, Generation
from sim_devices.firmware.qutag_selftest import Selftest
from sim_devices.firmware.qutag_stream import InputStage

_LEGACY_CHANNELS = 8
_PRESETS = {SignalConditioning.LVTTL: (True, 2.0), SignalConditioning.NIM: (False, -0.6)}
_CALIBRATION_PS = 3 * 10**12
_MARKERS = 9
_MODULE_INPUTS = 8
_LINKED = {0: (), 1: (2, 3, 6, 7), 2: (2, 3, 4, 6, 7, 8), 3: (2, 3, 4, 5, 6, 7, 8)}
"""TDC_LinkType: the inputs of a module that measure for another one (of 1+2 and 4+3 those that are named second)."""


class InputSettings:
    """One device's settings before its data. Methods raise TdcRefusal."""

    def __init__(
        self, now_ps: int, generation: Generation = GENERATIONS[1], features: int | None = None
    ) -> None:
        self.generation = generation
        self.features = Feature(generation.features if features is None else features)
        self._now_ps = now_ps
        self._stage = InputStage(generation.inputs)
        self._synthetic = InputStage(generation.inputs)
        self._conditioning = [(True, 1.0)] * generation.inputs
        self._selftest = Selftest(generation)
        self._filters = OutputFilters((1, 2, 3, 4, 5), first_bit=generation.number - 1)
        self._single_stops = SingleStops()
        self._five_channels = False
        self._linked = False
        self._marker_mask = 0
        self._calibrated_ps = now_ps
        self._clock_reset_disabled = False
        self._external_clock = False
        self._input_links = [0] * generation.modules

    def timebase(self) -> float:
        """Unit of all times in seconds."""
        return TIMEBASE_S

    def clock_state(self) -> tuple[bool, bool]:
        """Whether the clock is locked to another one, and whether another device is locked to it: never."""
        return self._external_clock, False

    def chain_position(self) -> tuple[int, int]:
        """Position in a chain of devices, and its length: alone."""
        return 0, 1

    def require_feature(self, feature: Feature) -> None:
        """Refuse with NOT_AVAILABLE what was not bought with the device."""
        if feature not in self.features:
            raise TdcRefusal(ReturnCode.NOT_AVAILABLE)

    # Modes

    def set_channel_link(self, on: int) -> None:
        """Measure inputs 1 and 3 with 2 and 4 as well, which are then disabled; a high-resolution feature."""
        self.require_feature(Feature.HIGH_RESOLUTION)
        self._linked = on != 0
        self._stage.linked_away = frozenset((2, 4) if on else ())

    def channel_link(self) -> bool:
        """Whether inputs are linked."""
        return self._linked

    def set_five_channel_mode(self, on: int) -> None:
        """Make the start input a regular input, channel 5."""
        self.require_feature(Feature.CHANNELS_5)
        self._five_channels = on != 0

    def five_channel_mode(self) -> bool:
        """Whether the start input is channel 5."""
        return self._five_channels

    def preselect_single_stop(self, single: int) -> None:
        """Drop stops that are not the first after a start, in the device."""
        self._single_stops.on = single != 0

    def single_stop_preselection(self) -> bool:
        """Whether they are dropped."""
        return self._single_stops.on

    def start_calibration(self) -> None:
        """No timestamps until it ends by itself."""
        self._calibrated_ps = self._now_ps + _CALIBRATION_PS

    def calibration_state(self) -> bool:
        """Whether it is going on."""
        return self._now_ps < self._calibrated_ps

    def enable_markers(self, mask: int) -> None:
        """Bits 0 to 3 and 5 to 8 are marker inputs, rising and falling, with nothing connected; bit 4 is the tick."""
        self.require_feature(Feature.MARKERS)
        self._marker_mask = mask & (1 << _MARKERS) - 1

    def markers_enabled(self) -> int:
        """The mask that holds."""
        return self._marker_mask

    def disable_clock_reset(self, disable: int) -> None:
        """Make the start input of a second-generation device an ordinary one."""
        self._clock_reset_disabled = disable != 0

    def clock_reset_disabled(self) -> bool:
        """Whether it is one."""
        return self._clock_reset_disabled

    def enable_external_clock(self, enable: int) -> None:
        """Lock to the external clock, which is there (assumed)."""
        self.require_feature(Feature.EXTERNAL_CLOCK)
        self._external_clock = enable != 0

    def configure_input_link(self, module: int, kind: int) -> None:
        """Combine inputs of one of the modules by two, four or eight."""
        require_range(0 <= module < self.generation.modules and kind in _LINKED)
        self._input_links[module] = kind
        self._stage.linked_away = frozenset(
            _MODULE_INPUTS * index + number
            for index, link in enumerate(self._input_links)
            for number in _LINKED[link]
        )

    def input_link(self, module: int) -> int:
        """How inputs of a module are combined."""
        require_range(0 <= module < self.generation.modules)
        return self._input_links[module]

    # Inputs

    def enable_channels(self, mask: int) -> None:
        """Bit n lets events of input n into the timestamps; further bits are ignored."""
        self._stage.channel_mask = mask & (1 << self.generation.inputs) - 1
        self._synthetic.channel_mask = self._stage.channel_mask

    def channels_enabled(self) -> int:
        """The mask that holds."""
        return self._stage.channel_mask

    def configure_signal_conditioning(self, channel: int, kind: int, edge: int, threshold_v: float) -> None:
        """LVTTL and NIM bring their own edge and threshold; MISC takes those given, in steps of 1.47 mV."""
        self._require_input(channel)
        require_range(kind in tuple(SignalConditioning))
        if kind == SignalConditioning.MISC:
            require_range(MIN_THRESHOLD_V <= threshold_v <= MAX_THRESHOLD_V)
            self._conditioning[channel] = (
                edge != 0,
                round(threshold_v / THRESHOLD_STEP_V) * THRESHOLD_STEP_V,
            )
        else:
            self._conditioning[channel] = _PRESETS[SignalConditioning(kind)]

    def signal_conditioning(self, channel: int) -> tuple[bool, float]:
        """Rising edge or not, and threshold in V, as in effect."""
        self._require_input(channel)
        return self._conditioning[channel]

    def configure_sync_divider(self, divider: int, reconstruct: int) -> None:
        """Pass one event in 1, 2, 4 or 8 of input 0; reconstructed events make up for those skipped."""
        require_range(divider in SYNC_DIVIDERS)
        self._stage.sync_divider, self._stage.sync_reconstruct = divider, reconstruct != 0

    def sync_divider(self) -> tuple[int, bool]:
        """Divider, and whether skipped events are reconstructed."""
        return self._stage.sync_divider, self._stage.sync_reconstruct

    def configure_filter(self, channel: int, kind: int, mask: int) -> None:
        """Keep events of a channel from the timestamps: all, or those without others of the channels in the mask."""
        self.require_feature(Feature.FILTERS)
        self._filters.configure(channel, kind, mask)

    def filter(self, channel: int) -> tuple[int, int]:
        """Type and mask of a channel's filter."""
        return self._filters.filter(channel)

    def set_channel_delays(self, delays_ps: Sequence[int]) -> None:
        """One delay for each input, -100 to 100 ns, added to its timestamps from now on."""
        require_range(all(abs(delay_ps) <= MAX_DELAY_PS for delay_ps in delays_ps))
        self._stage.delays_ps = list(delays_ps)
        self._synthetic.delays_ps = list(delays_ps)

    def channel_delays(self) -> Sequence[int]:
        """Eight values, as many as the header asks to make room for; the last three are 0."""
        return [*self._stage.delays_ps, *[0] * (_LEGACY_CHANNELS - len(self._stage.delays_ps))]

    def set_channel_delay(self, channel: int, delay_ps: int) -> None:
        """The delay of one input."""
        self._require_input(channel)
        delays_ps = list(self._stage.delays_ps)
        delays_ps[channel] = delay_ps
        self.set_channel_delays(delays_ps)

    def channel_delay(self, channel: int) -> int:
        """The delay of one input in ps."""
        self._require_input(channel)
        return self._stage.delays_ps[channel]

    def set_dead_time(self, channel: int, dead_time_ps: int) -> None:
        """Time for which an input is blind after an event; 0 for none."""
        self._require_input(channel)
        require_range(dead_time_ps >= 0)
        self._stage.dead_times_ps[channel] = dead_time_ps

    def dead_time(self, channel: int) -> int:
        """Dead time of an input in ps."""
        self._require_input(channel)
        return self._stage.dead_times_ps[channel]

    def configure_selftest(self, mask: int, period: int, size: int, pause: int) -> None:
        """Let the device make events of its own on chosen inputs."""
        self._selftest.configure(mask, period, size, pause, now_ps=self._now_ps)

    @property
    def selftest_rate_hz(self) -> float:
        """Mean rate of the device's own events."""
        return self._selftest.rate_hz

    def _require_input(self, channel: int) -> None:
        require_range(0 <= channel < self.generation.inputs)
