"""Keysight Infiniium: real-time oscilloscope with four channels of 80 GSa/s and 33 GHz.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide (Z-Series).

Assumed besides what the modules of the subsystems say: *RST leaves headers alone; :DIGitize leaves the display switches
alone and the instrument stopped; the other channels have no record after it; a query for data during an acquisition
waits for its end; *OPC? stays silent while a trigger that will never come is waited for; while it runs, the record is
the one that ended this very moment; :AUToscale sets the vertical ranges only.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

import numpy as np

from qdci_lab.units import ps_to_seconds, seconds_to_ps
from sim_devices.firmware.keysight_infiniium_acquire import AcquireSubsystem
from sim_devices.firmware.keysight_infiniium_acquisition import Acquisition, Sampling, sampling_of
from sim_devices.firmware.keysight_infiniium_controls import control_commands
from sim_devices.firmware.keysight_infiniium_headers import ResponseHeaders
from sim_devices.firmware.keysight_infiniium_measure import MeasureSubsystem
from sim_devices.firmware.keysight_infiniium_setup import (
    CHANNELS,
    RANGE_V,
    SAMPLE_RATE_HZ,
    Setup,
    channel_of,
    source,
)
from sim_devices.firmware.keysight_infiniium_signal import Signal, calibration_sine
from sim_devices.firmware.keysight_infiniium_waveform import ORIGIN, SOURCES, WaveformSubsystem
from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import SETTINGS_CONFLICT, ScpiError
from sim_devices.firmware.scpi_settings import bit, constant, ignored, quoted
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import arguments, bare, choice
from sim_devices.firmware.sockets import lab_time_of
from sim_devices.twin.handle import ComponentHandle

NEVER_PS = 1 << 62
_EVENTS = {":TER?": "trigger", ":ADER?": "acquisition", ":PDER?": "processing"}


class KeysightInfiniium(ScpiInstrument):
    """Sockets "1" to "4": components whose setting `waveform_v` is (one period in V, sample rate in Hz).

    An input without a component sees a sine of `calibration_v` peak and `calibration_hz`. `seed` is that of the noise.
    """

    MODEL: ClassVar[str] = "Keysight Infiniium"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        model: str = "DSAZ334A",
        firmware_revision: str = "06.50.00901",
        options: str = "0",
        memory_points: int = 100_000_000,
        seed: int = 1,
        calibration_v: float = 0.25,
        calibration_hz: float = 1e9,
    ) -> None:
        unknown = sorted(set(components) - {str(channel) for channel in CHANNELS})
        if unknown:
            raise ValueError(f"no socket {', '.join(unknown)}; there are 1, 2, 3, 4")
        for component in components.values():
            component.setting(
                "waveform_v"
            )  # a component without this setting is refused here, not at the first record
        self._components = components
        self._calibration = calibration_sine(calibration_v, calibration_hz, SAMPLE_RATE_HZ.maximum)
        self._model, self._options = model, options
        self._memory_points, self._seed = memory_points, seed
        self._headers = ResponseHeaders()
        self._number = 0
        self._setup = Setup()
        self._acquire = AcquireSubsystem(lambda: self._setup.acquire, self._sampling, memory_points)
        frame = f"{model}:{serial_number}"
        self._waveform = WaveformSubsystem(lambda: self._setup, self._acquired, frame)
        self._measure = MeasureSubsystem(lambda: self._setup, self._acquired)
        self.reset()
        identity = f"KEYSIGHT TECHNOLOGIES,{model},{serial_number},{firmware_revision}"
        super().__init__(lab_time_of(components), identity)

    def reset(self) -> None:
        """The default setup: running, no record."""
        self._setup = Setup()
        self._state = "RUN"
        self._acquisition: Acquisition | None = None
        self._shown_for: tuple[int, str] | None = None
        self._seen = dict.fromkeys(_EVENTS.values(), self._number)

    def options(self) -> str:
        """The installed options."""
        return self._options

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument; queries are dressed in headers where that is wanted."""
        table = (
            super().commands()
            | self._system_commands()
            | self._run_commands()
            | self._acquire.commands()
            | control_commands(lambda: self._setup)
            | self._waveform.commands()
            | self._measure.commands()
        )
        return {pattern: self._headers.dressed(pattern, handler) for pattern, handler in table.items()}

    def busy_until_ps(self) -> int:
        """End of an acquisition that was asked for, far away while its trigger does not come."""
        if self._state == "RUN" or self._acquisition is None:
            return 0
        ends_ps = self._acquisition.ends_ps
        return NEVER_PS if ends_ps is None else ends_ps

    def wait(self) -> None:
        """Let lab time pass to the end of the acquisition, if it has one."""
        if self.busy_until_ps() != NEVER_PS:
            super().wait()

    def _system_commands(self) -> dict[str, Handler]:
        return {
            "*OPC?": bare(self._operation_complete),
            "*TRG": bare(self._run),
            **self._headers.commands(),
            ":SYSTem:ERRor[:NEXT]?": self._error,
            ":SYSTem:CAPability:CHANnels?": lambda request: (
                "4" if arguments(request, 0, 1) is not None else None
            ),
            ":SYSTem:PRESet[:DEFault|:FACTory]": bare(self.reset),
            ":SYSTem:DATE?": bare(lambda: quoted(f"{self._now().day} {self._now():%b %Y}".upper())),
            ":SYSTem:TIME?": bare(lambda: quoted(f"{self._now():%H:%M:%S}")),
            ":MODel?": constant(self._model, 1),
            ":BEEP": ignored(2),
        }

    def _run_commands(self) -> dict[str, Handler]:
        return {
            ":RUN": bare(self._run),
            ":STOP": bare(self._stop),
            ":SINGle": bare(self._single),
            ":DIGitize": self._digitize,
            ":AUToscale": bare(self._autoscale),
            ":CDISplay": bare(self._clear_display),
            ":VIEW": lambda request: self._show(request, True),
            ":BLANk": lambda request: self._show(request, False),
            ":TRIGger:FORCe": bare(self._force),
            ":RSTate?": bare(self._run_state),
            ":ASTate?": bare(self._acquisition_state),
            **{pattern: bare(lambda name=name: self._event(name)) for pattern, name in _EVENTS.items()},
            ":AER?": bare(lambda: bit(self._acquisition is not None or self._state == "RUN")),
        }

    def _sampling(self) -> Sampling:
        return sampling_of(self._setup.acquire, self._setup.timebase, self._memory_points)

    def _now(self) -> datetime:
        return ORIGIN + timedelta(seconds=ps_to_seconds(self.lab_time.now_ps()))

    def _signals(self) -> dict[int, Signal]:
        return {channel: self._signal(channel) for channel in CHANNELS}

    def _signal(self, channel: int) -> Signal:
        component = self._components.get(str(channel))
        if component is None:
            return self._calibration
        setting = component.setting("waveform_v")
        if not isinstance(setting, tuple):
            return Signal(np.zeros(1), SAMPLE_RATE_HZ.maximum)
        samples_v, rate_hz = setting
        return Signal(np.asarray(samples_v, np.float64), float(rate_hz))

    def _armed(self, channels: tuple[int, ...], armed_ps: int, *, force: bool = False) -> Acquisition:
        self._number += 1
        return Acquisition(
            self._setup,
            self._signals(),
            channels,
            armed_ps=armed_ps,
            memory_points=self._memory_points,
            key=(self._seed, self._number),
            force=force,
        )

    def _shown_channels(self) -> tuple[int, ...]:
        return tuple(channel for channel in CHANNELS if self._setup.channels[channel].shown)

    def _acquired(self) -> Acquisition | None:
        """The acquisition whose records can be read, after its end; None if there is none."""
        if self._state == "RUN":
            self._refresh()
            return self._acquisition
        if self.busy_until_ps() == NEVER_PS:
            return None
        self.wait()
        return self._acquisition

    def _refresh(self) -> None:
        """While running, the record is the one that has just ended under the present settings."""
        setup = self._setup
        settings = repr((setup.channels, setup.acquire, setup.timebase, setup.trigger))
        now_ps = self.lab_time.now_ps()
        if self._shown_for == (now_ps, settings):
            return
        self._shown_for = (now_ps, settings)
        latest = self._armed(self._shown_channels(), now_ps - seconds_to_ps(self._sampling().duration_s))
        if latest.trigger is not None:
            self._acquisition = latest

    def _run(self) -> None:
        self._state, self._shown_for = "RUN", None

    def _stop(self) -> None:
        if self._state == "RUN":
            self._refresh()
        elif self.lab_time.now_ps() < self.busy_until_ps():
            self._acquisition = None
        self._state = "STOP"

    def _single(self) -> None:
        self._begin("SING", self._shown_channels())

    def _digitize(self, request: Request) -> None:
        tokens = arguments(request, 0, len(CHANNELS))
        named = {channel_of(source(token)) for token in tokens}
        self._begin(
            "STOP", tuple(channel for channel in CHANNELS if channel in named) or self._shown_channels()
        )

    def _begin(self, state: str, channels: tuple[int, ...]) -> None:
        if not channels:
            raise ScpiError(SETTINGS_CONFLICT)
        self._acquisition = self._armed(channels, self.lab_time.now_ps())
        self._state = state

    def _force(self) -> None:
        if self.busy_until_ps() == NEVER_PS and self._acquisition is not None:
            self._acquisition = self._armed(self._acquisition.channels, self.lab_time.now_ps(), force=True)

    def _clear_display(self) -> None:
        self._acquisition, self._shown_for = None, None

    def _autoscale(self) -> None:
        for channel in self._shown_channels():
            samples_v = self._signal(channel).samples_v
            lowest_v, highest_v = float(samples_v.min()), float(samples_v.max())
            own = self._setup.channels[channel]
            own.range_v = min(max(1.25 * (highest_v - lowest_v), RANGE_V.minimum), RANGE_V.maximum)
            own.offset_v = own.trigger_level_v = round((lowest_v + highest_v) / 2.0, 6)
        self._run()

    def _show(self, request: Request, shown: bool) -> None:
        (token,) = arguments(request, 1)
        channel = channel_of(source(token, SOURCES))
        if channel is not None:
            self._setup.channels[channel].shown = shown

    def _run_state(self) -> str:
        if self._state != "SING":
            return self._state
        return "SING" if self.still_busy(self.busy_until_ps()) else "STOP"

    def _acquisition_state(self) -> str:
        acquisition = self._acquired() if self._state == "RUN" else self._acquisition
        if self._state != "RUN" and not self.still_busy(self.busy_until_ps()):
            return "ADONE"
        if acquisition is None or acquisition.trigger is None:
            return "ARM"
        return "ATRIG" if acquisition.trigger.forced else "TRIG"

    def _event(self, name: str) -> str:
        """Whether there was one since the last query; while running there always was."""
        if self._state == "RUN":
            return bit(self._acquired() is not None)
        if self._acquisition is None or self.still_busy(self.busy_until_ps()):
            return "0"
        happened = self._seen[name] != self._number
        self._seen[name] = self._number
        return bit(happened)

    def _operation_complete(self) -> str | None:
        if self.busy_until_ps() == NEVER_PS:
            return None
        self.wait()
        return "1"

    def _error(self, request: Request) -> str:
        """The number alone, or with its text if the parameter is STRing."""
        (token,) = arguments(request, 0, 1) or (b"NUMB",)
        with_text = choice(token, "NUMBer", "STRing") == "STR"
        entry = self.status.errors.pop()
        return self.error_text(entry) if with_text else str(entry.code)
