"""Keysight M819xA: arbitrary waveform generators with four channels, as their common Soft Front Panel serves them.

Reference: Keysight M8195A Revision 2 User's Guide, chapter 6. A model says what it has of that.

Assumed, because what is at hand of the guide does not say it: the *RST values (`keysight_m8195a_setup`); *RST deletes
the segments; levels are kept as sent, offset and levels lie within -1 to +3.3 V; HIGH and LOW keep each other, and an
amplitude beyond the limits that results is refused; segments can be defined and deleted only while stopped (-221),
everything else can change while running; a channel that is switched to extended memory raises the divider to what that
many channels need, and a divider below that is refused (-221); a channel whose selected segment does not exist stays
silent; sequences need an option that is not installed (-241); a single trigger plays a segment as often as its count.
Filters, sample clock delays, sequences and file import are not there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from sim_devices.firmware.keysight_m8195a_clock import clock_commands
from sim_devices.firmware.keysight_m8195a_levels import level_commands
from sim_devices.firmware.keysight_m8195a_memory import Room
from sim_devices.firmware.keysight_m8195a_playback import CHANNELS, ROUTES, sourced_channels, waveforms
from sim_devices.firmware.keysight_m8195a_setup import (
    Setup,
    bit,
    channel_command,
    channel_of,
    channel_query,
    number_query,
)
from sim_devices.firmware.keysight_m8195a_trace import TraceSubsystem, extended_channels, raise_divider
from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import (
    HARDWARE_MISSING,
    SETTINGS_CONFLICT,
    ScpiError,
)
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    FREQUENCY_HZ,
    Limits,
    arguments,
    bare,
    boolean,
    choice,
    integer,
    limited,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle


@dataclass(frozen=True)
class Hardware:
    """What a model of the family has; `absent` are the patterns of commands that it lacks."""

    product: str
    raster_hz: Limits
    dac_modes: tuple[str, ...]
    internal_memory: Room
    absent: frozenset[str] = frozenset()


class KeysightM819xA(ScpiInstrument):
    """Socket "outputs": the waveform source component with all four connectors."""

    HARDWARE: ClassVar[Hardware]

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str,
        options: str,
    ) -> None:
        self._outputs = connect(components, ["outputs"])["outputs"]
        self._options = options
        self._setup = self._default_setup()
        self._running = False
        self._trace = TraceSubsystem(
            lambda: self._setup, lambda: self._running, self._refresh, self.HARDWARE.internal_memory
        )
        identity = f"Keysight Technologies,{self.HARDWARE.product},{serial_number},{firmware_revision}"
        super().__init__(self._outputs.lab_time, identity)
        self._stop()
        self._drive_levels()

    def options(self) -> str:
        """The installed options."""
        return self._options

    def reset(self) -> None:
        """Stops, deletes every segment, brings back the default settings; the error queue stays."""
        self._stop()
        self._setup = self._default_setup()
        self._trace.clear()
        self._drive_levels()

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        table = (
            super().commands()
            | self._trace.commands()
            | self._run_commands()
            | self._mode_commands()
            | clock_commands(lambda: self._setup)
            | level_commands(lambda: self._setup, self._drive_levels)
            | self._information_commands()
        )
        return {pattern: handler for pattern, handler in table.items() if pattern not in self.HARDWARE.absent}

    def _default_setup(self) -> Setup:
        return Setup(raster_hz=self.HARDWARE.raster_hz.default)

    def _run_commands(self) -> dict[str, Handler]:
        init = ":INITiate[n]"
        return {
            ":ABORt[n]": self._for_any_channel(self._stop),
            f"{init}[:IMMediate[m]]": self._for_any_channel(self._start),
            f"{init}:CONTinuous[m][:STATe]": channel_command(self._set_continuous),
            f"{init}:CONTinuous[m][:STATe]?": channel_query(lambda _: bit(self._setup.continuous)),
            f"{init}:CONTinuous[m]:ENABle": channel_command(self._set_arm_mode),
            f"{init}:CONTinuous[m]:ENABle?": channel_query(lambda _: self._setup.arm_mode),
            f"{init}:GATE[m][:STATe]": channel_command(self._set_gated),
            f"{init}:GATE[m][:STATe]?": channel_query(lambda _: bit(self._setup.gated)),
            ":TRIGger:BEGin[n][:IMMediate]": self._for_any_channel(self._begin),
            ":TRIGger:BEGin[n]:GATE[:STATe]": channel_command(self._set_gate),
        }

    def _mode_commands(self) -> dict[str, Handler]:
        divider = ":INSTrument:MEMory:EXTended:RDIVider"
        return {
            ":INSTrument:DACMode": self._set_dac_mode,
            ":INSTrument:DACMode?": bare(lambda: self._setup.dac_mode),
            divider: self._set_divider,
            f"{divider}?": bare(lambda: f"DIV{self._setup.divider}"),
            "[:SOURce]:FREQuency:RASTer": self._set_raster,
            "[:SOURce]:FREQuency:RASTer?": number_query(
                lambda _: self._setup.raster_hz, self.HARDWARE.raster_hz
            ),
            "[:SOURce]:FUNCtion:MODE": self._set_function,
            "[:SOURce]:FUNCtion:MODE?": bare(lambda: "ARB"),
        }

    def _information_commands(self) -> dict[str, Handler]:
        unavailable = bare(lambda: "-1")
        return {
            ":INSTrument:SLOT[:NUMBer]?": bare(lambda: "1"),
            ":INSTrument:HWRevision?": bare(lambda: "2"),
            ":INSTrument:IDENtify": _identify,
            ":INSTrument:IDENtify:STOP": bare(lambda: None),
            ":SYSTem:COMMunicate:INSTr[:NUMBer]?": unavailable,
            ":SYSTem:COMMunicate:HISLip[:NUMBer]?": unavailable,
            ":SYSTem:COMMunicate:SOCKet[:PORT]?": bare(lambda: "5025"),
            ":SYSTem:COMMunicate:TELNet[:PORT]?": unavailable,
            ":SYSTem:COMMunicate:TCPip:CONTrol?": unavailable,
            ":STATus:OPERation:RUN:CONDition?": bare(lambda: str(self._run_condition())),
            ":STATus:OPERation:CONDition?": bare(lambda: str(self.status.operation.condition)),
            ":STATus:OPERation[:EVENt]?": bare(lambda: str(self.status.operation.read_event())),
            ":STATus:PRESet": bare(self.status.operation.preset),
        }

    def refresh_status(self) -> None:
        """Bit 3 of the operation register tells that a channel is running."""
        self.status.operation.update(8 if self._running else 0)

    def _run_condition(self) -> int:
        return sum(1 << (channel - 1) for channel in ROUTES[self._setup.dac_mode]) if self._running else 0

    def _for_any_channel(self, action: Callable[[], None]) -> Handler:
        """A command whose channel suffix may be given but makes no difference."""

        def handle(request: Request) -> None:
            arguments(request, 0)
            channel_of(request)
            action()

        return handle

    def _start(self) -> None:
        self._drive()
        self._running = True
        self._outputs.apply(running=self._setup.continuous and not self._setup.gated)

    def _stop(self) -> None:
        self._running = False
        self._outputs.apply(running=False)

    def _begin(self) -> None:
        """A trigger: plays for ever if the instrument runs continuously, else as often as the segment's count says."""
        if not self._running or self._setup.gated:
            return
        self._outputs.apply(running=True)
        if not self._setup.continuous and (burst_s := self._burst_s()) is not None:
            self._outputs.apply(running=False, after_s=burst_s)

    def _burst_s(self) -> float | None:
        """Duration of the longest channel's repetitions, None if one of them waits for an event to go on."""
        spans_s = [0.0]
        for channel in sourced_channels(self._setup.dac_mode):
            segment, own = self._trace.selected(channel), self._setup.channels[channel]
            if own.advance != "AUTO":
                return None
            if segment is not None:
                spans_s.append(own.loops * len(segment) / self._rate_hz(channel))
        return max(spans_s)

    def _set_gate(self, channel: int, token: bytes) -> None:
        del channel
        gate = boolean(token)
        if self._running and self._setup.gated:
            self._outputs.apply(running=gate)

    def _set_continuous(self, channel: int, token: bytes) -> None:
        del channel
        self._setup.continuous = boolean(token)
        self._resume()

    def _set_gated(self, channel: int, token: bytes) -> None:
        del channel
        self._setup.gated = boolean(token)
        self._resume()

    def _resume(self) -> None:
        if self._running:
            self._outputs.apply(running=self._setup.continuous and not self._setup.gated)

    def _set_arm_mode(self, channel: int, token: bytes) -> None:
        del channel
        self._setup.arm_mode = choice(token, "SELF", "ARMed")

    def _set_dac_mode(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._setup.dac_mode = choice(token, *self.HARDWARE.dac_modes)
        raise_divider(self._setup)
        self._refresh()

    def _set_divider(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        divider = int(choice(token, "DIV1", "DIV2", "DIV4")[-1])
        if divider < extended_channels(self._setup):
            raise ScpiError(SETTINGS_CONFLICT)
        self._setup.divider = divider
        self._refresh()

    def _set_function(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        if choice(token, "ARBitrary", "STSequence", "STSCenario") != "ARB":
            raise ScpiError(HARDWARE_MISSING)

    def _set_raster(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._setup.raster_hz = limited(token, self.HARDWARE.raster_hz, FREQUENCY_HZ)
        self._refresh()

    def _rate_hz(self, channel: int) -> float:
        extended = self._setup.channels[channel].memory == "EXT"
        return self._setup.raster_hz / (self._setup.divider if extended else 1)

    def _refresh(self) -> None:
        """What is played may have changed: it matters at once only while signals are generated."""
        if self._running:
            self._drive()

    def _drive(self) -> None:
        """Give the component what the channels in use play, at the rate of the fastest of them."""
        channels = sourced_channels(self._setup.dac_mode)
        segments = {channel: self._trace.selected(channel) for channel in channels}
        rates_hz = [self._rate_hz(channel) for channel, segment in segments.items() if segment is not None]
        rate_hz = max(rates_hz, default=self._setup.raster_hz)
        repeats = {channel: round(rate_hz / self._rate_hz(channel)) for channel in channels}
        self._outputs.apply(
            waveforms=waveforms(self._setup.dac_mode, segments, repeats), sample_rate_hz=rate_hz
        )

    def _drive_levels(self) -> None:
        channels = [self._setup.channels[channel] for channel in CHANNELS]
        self._outputs.apply(
            amplitude_v=tuple(channel.amplitude_v for channel in channels),
            offset_v=tuple(channel.offset_v for channel in channels),
            output_on=tuple(channel.on for channel in channels),
        )


def _identify(request: Request) -> None:
    """The light on the front panel flashes for as many seconds as the parameter says; nobody sees it."""
    for token in arguments(request, 0, 1):
        integer(token)
