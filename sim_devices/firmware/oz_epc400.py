"""OZ Optics EPC-400 electric polarization controller: four fibre squeezers driven with -5 to +5 V.

Reference: OZ Optics EPC-400/EPC-DRIVER serial commands (9600 8N1): command and CR LF, answered with a text
and `Done`, each with CR LF, or with a text that ends in `Error!`.

In AC mode the instrument reports oscillating squeezers, but the light keeps the state of the DC voltages:
an oscillation that goes on for ever cannot be told to the twin in advance. Assumed: the words before
`Error!`, and that no `Done` follows it; four digits in the list of voltages; the reply to VF while the mode
is disabled; the words of the answers to ENABLE, SN? and VER?; the settings at power-on (DC, 0 V, 0 Hz, sine).
"""

import re
import threading
from collections.abc import Mapping

from sim_devices.firmware.lines import LineSession
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

CHANNELS = 4
MAX_VOLTAGE_MV = 5000
MAX_FREQUENCY_HZ = 100
_WAVEFORMS = {1: "Sine", 2: "Triangle"}


class _Refused(Exception):
    """A command that is answered with an error."""


class OzEpc400:
    """Remembers voltages in whole millivolts and scrambling frequencies in whole hertz."""

    MODEL = "OZ Optics EPC-400"

    def __init__(self, components: Mapping[str, ComponentHandle], *, serial_number: str) -> None:
        self._squeezers = connect(components, ["squeezers"])["squeezers"]
        self._serial_number = serial_number
        self._lock = threading.RLock()
        self._voltages_mv = [0] * CHANNELS
        self._frequencies_hz = [0] * CHANNELS
        self._is_ac = False
        self._waveform = 1
        self._mixes_dc_into_ac = False
        self._outputs_dc_in_ac = [False] * CHANNELS
        self._drive()

    def session(self) -> LineSession:
        """A serial line; all lines share the instrument."""
        return LineSession(self._answer, self._lock, reply_end=b"\r\n")

    def _answer(self, message: str) -> str:
        try:
            return f"{self._execute(message.upper().replace(' ', ''))}\r\nDone"
        except _Refused as refusal:
            return f"{refusal} Error!"

    def _execute(self, command: str) -> str:
        fixed = {
            "V?": self._list_voltages,
            "F?": self._list_frequencies,
            "M?": self._mode,
            "MAC": lambda: self._set_mode(ac=True),
            "MDC": lambda: self._set_mode(ac=False),
            "WF?": lambda: f"AC Waveform: {_WAVEFORMS[self._waveform]}",
            "VF?": self._list_mixed_outputs,
            "SAVE": lambda: "Write Setting to Flash memory",
            "SN?": lambda: f"Serial Number: {self._serial_number}",
            "VER?": lambda: "Version: 1.0",
        }
        if command in fixed:
            return fixed[command]()
        numbered = re.fullmatch(r"(V|F|VH|VL|VZ|VF|WF|ENVF)(\d+)(?:,([+-]?\d+))?", command)
        if numbered is None:
            raise _Refused("Command")
        word, number, value = numbered[1], int(numbered[2]), numbered[3]
        if (value is not None) != (word in ("V", "F")):
            raise _Refused("Command")
        return self._set(word, number, 0 if value is None else int(value))

    def _set(self, word: str, number: int, value: int) -> str:
        if word == "WF":
            return self._set_waveform(number)
        if word == "ENVF":
            return self._set_mixing(number)
        _require(1 <= number <= CHANNELS)
        if word == "F":
            return self._set_frequency(number, value)
        if word == "VF":
            return self._toggle_output(number)
        levels = {"V": value, "VH": MAX_VOLTAGE_MV, "VL": -MAX_VOLTAGE_MV, "VZ": 0}
        return self._set_voltage(number, levels[word])

    def _set_voltage(self, channel: int, voltage_mv: int) -> str:
        _require(abs(voltage_mv) <= MAX_VOLTAGE_MV)
        self._voltages_mv[channel - 1] = voltage_mv
        self._drive()
        return f"Set CH{channel} DC Voltage at: {voltage_mv}mV"

    def _drive(self) -> None:
        self._squeezers.apply(voltages_v=tuple(voltage_mv / 1000.0 for voltage_mv in self._voltages_mv))

    def _list_voltages(self) -> str:
        return "Voltage(mV): " + " ".join(f"CH{n} {mv:+05d}" for n, mv in enumerate(self._voltages_mv, 1))

    def _set_frequency(self, channel: int, frequency_hz: int) -> str:
        _require(0 <= frequency_hz <= MAX_FREQUENCY_HZ)
        self._frequencies_hz[channel - 1] = frequency_hz
        return f"Set CH{channel} AC Frequency at: {frequency_hz}Hz"

    def _list_frequencies(self) -> str:
        return "Frequency(Hz): " + "  ".join(
            f"CH{n} {hz:03d}" for n, hz in enumerate(self._frequencies_hz, 1)
        )

    def _set_mode(self, *, ac: bool) -> str:
        self._is_ac = ac
        return "Set To AC Mode" if ac else "Set To DC Mode"

    def _mode(self) -> str:
        return f"Work Mode: AC({_WAVEFORMS[self._waveform]})" if self._is_ac else "Work Mode: DC"

    def _set_waveform(self, number: int) -> str:
        _require(number in _WAVEFORMS)
        self._waveform = number
        return f"Set AC Waveform at: {_WAVEFORMS[number]}"

    def _set_mixing(self, number: int) -> str:
        _require(number in (0, 1))
        self._mixes_dc_into_ac = number == 1
        return f"{'Enable' if number else 'Disable'} DC Voltage Output at AC Mode"

    def _toggle_output(self, channel: int) -> str:
        self._outputs_dc_in_ac[channel - 1] ^= True
        kind = "Volt" if self._outputs_dc_in_ac[channel - 1] else "Hz"
        return f"Set CH{channel} output to: {kind} (if possible)"

    def _list_mixed_outputs(self) -> str:
        state = "enabled" if self._mixes_dc_into_ac else "disabled"
        kinds = (f"CH{n}-{'V' if dc else 'F'}" for n, dc in enumerate(self._outputs_dc_in_ac, 1))
        return f"Hz<->Volt at AC Mode is {state}: {','.join(kinds)}"


def _require(inside: bool) -> None:
    if not inside:
        raise _Refused("Parameter")
