"""What a Polatis 6000 remembers of each port over TL1: label, power monitor, attenuation, flapping shutter.

Assumed: formats and defaults; attenuation and flapping are remembered without effect on the light.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sim_devices.firmware.tl1 import Tl1Command, invalid_access, invalid_data, numbers

PortCommand = Callable[[Tl1Command, Sequence[int]], list[str]]
_ATTENUATION_MODES = {
    "NONE": "NONE",
    "FIX": "FIX",
    "FIXED": "FIX",
    "MAX": "MAX",
    "MAXIMUM": "MAX",
    "ABS": "ABSOLUTE",
    "ABSOLUTE": "ABSOLUTE",
    "CONV": "CONVERGED",
    "CONVERGED": "CONVERGED",
    "REL": "RELATIVE",
    "RELATIVE": "RELATIVE",
}
_WITH_LEVEL = ("ABSOLUTE", "CONVERGED", "RELATIVE")


@dataclass
class _Port:
    label: str = ""
    wavelength_nm: float = 1550.0
    offset_db: float = 0.0
    averaging: int = 4
    attenuation: str = "NONE,,"
    flap: tuple[int, int, int] = field(default=(0, 0, 0))

    @property
    def monitor(self) -> str:
        return f"{self.wavelength_nm:.1f},{self.offset_db:.1f},{self.averaging}"


class PortSettings:
    """All ports' settings; each command takes the ports it is for."""

    def __init__(self, ports: range, egress: range) -> None:
        self._ports = {port: _Port() for port in ports}
        self._egress = egress

    def commands(self) -> Mapping[str, PortCommand]:
        """The commands about port settings."""
        return {
            "ED-PORT-LABEL": self._label,
            "DLT-PORT-LABEL": self._delete_label,
            "RTRV-PORT-LABEL": self._listing(lambda one: one.label),
            "SET-PORT-PMON": self._monitor,
            "RTRV-PORT-PMON": self._listing(lambda one: one.monitor),
            "SET-PORT-ATTEN": self._attenuate,
            "RTRV-PORT-ATTEN": self._listing(lambda one: one.attenuation),
            "ENT-PORT-FLAP": self._flap,
            "OPR-PORT-FLAP": _accept,
            "RLS-PORT-FLAP": _accept,
            "RTRV-PORT-FLAP": self._listing(lambda one: ",".join(map(str, one.flap))),
        }

    def _listing(self, text: Callable[[_Port], str]) -> PortCommand:
        def answer(command: Tl1Command, ports: Sequence[int]) -> list[str]:
            del command
            return [f'"{port}:{text(self._ports[port])}"' for port in ports]

        return answer

    def _delete_label(self, command: Tl1Command, ports: Sequence[int]) -> list[str]:
        del command
        for port in ports:
            self._ports[port].label = ""
        return []

    def _label(self, command: Tl1Command, ports: Sequence[int]) -> list[str]:
        """One label for each port, joined with ampersands, or one for all of them."""
        if "LABEL" not in command.named:
            raise invalid_data()
        label = command.named["LABEL"]
        labels = label.split("&") if len(ports) > 1 and "&" in label else [label] * len(ports)
        if len(labels) != len(ports):
            raise invalid_data()
        for port, own in zip(ports, labels, strict=True):
            self._ports[port].label = own
        return []

    def _monitor(self, command: Tl1Command, ports: Sequence[int]) -> list[str]:
        """WAVE (or WAVELENGTH) in nm, OFFSET in dB, ATIME as the code of an averaging time."""
        changes: dict[str, float] = {}
        names = {
            "WAVE": "wavelength_nm",
            "WAVELENGTH": "wavelength_nm",
            "OFFSET": "offset_db",
            "ATIME": "averaging",
        }
        for name, value in command.named.items():
            if name not in names:
                raise invalid_data()
            changes[names[name]] = int(_number(value)) if name == "ATIME" else _number(value)
        for port in ports:
            for name, value in changes.items():
                setattr(self._ports[port], name, value)
        return []

    def _attenuate(self, command: Tl1Command, ports: Sequence[int]) -> list[str]:
        if not all(port in self._egress for port in ports):
            raise invalid_access()
        mode = _ATTENUATION_MODES.get(command.named.get("MODE", "").upper())
        if mode is None or (mode in _WITH_LEVEL) != ("LEVEL" in command.named):
            raise invalid_data()
        level = f"{_number(command.named['LEVEL'].strip('()')):.1f}" if mode in _WITH_LEVEL else ""
        references = [str(port) for port in numbers(command.named["REFS"])] if "REFS" in command.named else []
        if references and (mode != "RELATIVE" or len(references) != len(ports)):
            raise invalid_data()
        for port, reference in zip(ports, references or [""] * len(ports), strict=True):
            self._ports[port].attenuation = f"{mode},{level},{reference}"
        return []

    def _flap(self, command: Tl1Command, ports: Sequence[int]) -> list[str]:
        """Milliseconds off, milliseconds on, number of cycles."""
        if len(command.positional) != 3 or not all(item.isdigit() for item in command.positional):
            raise invalid_data()
        off, on, cycles = map(int, command.positional)
        for port in ports:
            self._ports[port].flap = (off, on, cycles)
        return []


def _accept(command: Tl1Command, ports: Sequence[int]) -> list[str]:
    del command, ports
    return []


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise invalid_data() from error
    if not abs(value) < 1e6:
        raise invalid_data()
    return value
