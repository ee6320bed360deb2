"""Coherent Solutions MTP1000: mainframe with up to nine LaserBlades, each a tunable laser.

Reference: the programming conventions in the MTP-1000 manuals of its blades (units dBm, Hz and m, slots 1 to 9, *OPT?)
and the few laser commands that are public. The rest is assumed: ranges 1527.6 to 1568.6 nm, 6 to 16 dBm, fine tuning
within 6 GHz; optional :CHANnel nodes with one channel a blade; queries beside every command; *RST values 1550 nm, 10
dBm, off; a laser that is on goes dark for `tuning_s` when its frequency changes, which *OPC? waits for; *OPT? names the
blade of each slot in order, empty where there is none; a slot without a blade is refused with -241.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from qdci_lab.units import SPEED_OF_LIGHT_M_PER_S, seconds_to_ps
from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import HARDWARE_MISSING, HEADER_SUFFIX_OUT_OF_RANGE, ScpiError
from sim_devices.firmware.scpi_settings import asked, bit, number_setting
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import (
    FREQUENCY_HZ,
    LENGTH_M,
    POWER_DBM,
    Limits,
    arguments,
    boolean,
    exact_nr3,
    limited,
)
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

SLOTS = tuple(range(1, 10))
WAVELENGTH_M = Limits(1527.6e-9, 1568.6e-9, 1550e-9)
FREQUENCY = Limits(
    SPEED_OF_LIGHT_M_PER_S / WAVELENGTH_M.maximum,
    SPEED_OF_LIGHT_M_PER_S / WAVELENGTH_M.minimum,
    SPEED_OF_LIGHT_M_PER_S / WAVELENGTH_M.default,
)
FINE_HZ = Limits(-6e9, 6e9, 0.0)
POWER = Limits(6.0, 16.0, 10.0)
BLADE = "LaserBlade 1001"


@dataclass
class LaserSetup:
    """What one laser is set to."""

    frequency_hz: float = FREQUENCY.default
    fine_hz: float = 0.0
    power_dbm: float = POWER.default
    on: bool = False


class Blade:
    """A laser in a slot: its settings and the component that emits."""

    def __init__(self, handle: ComponentHandle, tuning_s: float) -> None:
        self._handle = handle
        self._tuning_s = tuning_s
        self.tuned_ps = 0
        self.setup = LaserSetup()
        self.emit()

    def reset(self) -> None:
        """Off, with the default settings."""
        self.setup, self.tuned_ps = LaserSetup(), 0
        self.emit()

    def tune(self, frequency_hz: float) -> None:
        """Go to another frequency, dark meanwhile if the laser is on."""
        changed = frequency_hz != self.setup.frequency_hz
        self.setup.frequency_hz = frequency_hz
        if changed and self.setup.on:
            self.tuned_ps = self._handle.lab_time.now_ps() + seconds_to_ps(self._tuning_s)
        self.emit()

    def emit(self) -> None:
        """Give the settings to the component; light comes when the tuning is over."""
        setup = self.setup
        dark_s = max(0, self.tuned_ps - self._handle.lab_time.now_ps()) * 1e-12 if setup.on else 0.0
        wavelength_nm = SPEED_OF_LIGHT_M_PER_S / (setup.frequency_hz + setup.fine_hz) * 1e9
        self._handle.apply(power_dbm=setup.power_dbm)
        self._handle.apply(wavelength_nm=wavelength_nm, after_s=dark_s)
        if dark_s > 0.0:
            self._handle.apply(emission_on=False)
        self._handle.apply(emission_on=setup.on, after_s=dark_s)


class CoherentMtp1000(ScpiInstrument):
    """Sockets "1" to "9": the laser in each slot; without any component there is one blade in slot 1."""

    MODEL: ClassVar[str] = "Coherent Solutions MTP1000"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "1.08",
        tuning_s: float = 1.0,
    ) -> None:
        handles = connect(components, [str(slot) for slot in SLOTS])
        present = sorted(int(name) for name in components) or [1]
        self._blades = {slot: Blade(handles[str(slot)], tuning_s) for slot in present}
        identity = f"Coherent Solutions,MTP1000,{serial_number},{firmware_revision}"
        super().__init__(handles["1"].lab_time, identity)

    def options(self) -> str:
        """The blades in slots 1 to 9."""
        return ",".join(BLADE if slot in self._blades else "" for slot in SLOTS)

    def reset(self) -> None:
        """Every laser off, at its default settings."""
        for blade in self._blades.values():
            blade.reset()

    def busy_until_ps(self) -> int:
        """End of the last tuning."""
        return max(blade.tuned_ps for blade in self._blades.values())

    def commands(self) -> dict[str, Handler]:
        """All commands of the mainframe."""
        output, source = ":OUTPut[n][:CHANnel[m]]", ":SOURce[n][:CHANnel[m]]"
        table: dict[str, Handler] = {
            f"{output}[:STATe]": self._switch,
            f"{output}[:STATe]?": self._state,
            f"{source}:WAVelength": self._set_wavelength,
            f"{source}:WAVelength?": self._wavelength,
            f"{source}:FREQuency": self._set_frequency,
            f"{source}:FREQuency?": self._frequency,
            ":SLOT[n]:IDN?": self._identity_of,
            ":SLOT[n]:OPC?": self._complete,
        }
        for pattern, field, limits, units in (
            (f"{source}:POWer", "power_dbm", POWER, POWER_DBM),
            (f"{source}:FREQuency:FINE", "fine_hz", FINE_HZ, FREQUENCY_HZ),
        ):
            table |= number_setting(pattern, self._setup, field, limits, units, changed=self._emit)
        return super().commands() | table

    def _blade(self, request: Request) -> Blade:
        slot, channel = request.suffixes.get("n", 1), request.suffixes.get("m", 1)
        if slot not in SLOTS or channel != 1:
            raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)
        if slot not in self._blades:
            raise ScpiError(HARDWARE_MISSING)
        return self._blades[slot]

    def _setup(self, request: Request) -> LaserSetup:
        return self._blade(request).setup

    def _emit(self) -> None:
        for blade in self._blades.values():
            blade.emit()

    def _switch(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        blade = self._blade(request)
        blade.setup.on = boolean(token)
        blade.tuned_ps = blade.tuned_ps if blade.setup.on else 0
        blade.emit()

    def _state(self, request: Request) -> str:
        arguments(request, 0)
        return bit(self._setup(request).on)

    def _set_wavelength(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._blade(request).tune(SPEED_OF_LIGHT_M_PER_S / limited(token, WAVELENGTH_M, LENGTH_M))

    def _wavelength(self, request: Request) -> str:
        present_m = SPEED_OF_LIGHT_M_PER_S / self._setup(request).frequency_hz
        return exact_nr3(asked(request, WAVELENGTH_M, present_m))

    def _set_frequency(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._blade(request).tune(limited(token, FREQUENCY, FREQUENCY_HZ))

    def _frequency(self, request: Request) -> str:
        return exact_nr3(asked(request, FREQUENCY, self._setup(request).frequency_hz))

    def _identity_of(self, request: Request) -> str:
        arguments(request, 0)
        self._blade(request)
        return f"Coherent Solutions,{BLADE},{request.suffixes['n']},1.0"

    def _complete(self, request: Request) -> str:
        arguments(request, 0)
        self.lab_time.advance_to(self._blade(request).tuned_ps)
        return "1"
