"""A SCPI instrument made of registers, on which those of the models stand."""

import re

from qdci_lab.transport.memory import MemoryTransport

SCALES = {"NM": 1e-9, "DBM": 1.0, "S": 1.0, "": 1.0}


class FakeScpi(MemoryTransport):
    """An instrument made of registers: `HEADER?` reads one, `HEADER value` sets one, anything else is an error.

    Values are kept as they are printed. A register whose value looks like a float stays one; units are taken off.
    `busy` is how often `*OPC?` is answered with 0 after a command; `refuse` holds errors to come, by header.
    """

    def __init__(self, registers: dict[str, str], *, no_error: str = '+0,"No error"') -> None:
        super().__init__(self.hear)
        self.registers = registers
        self.no_error = no_error
        self.errors: list[str] = []
        self.written: list[bytes] = []
        self.busy_after_command = 0
        self.silent = False
        self.refuse: dict[str, str] = {}
        self._busy = 0

    def hear(self, data: bytes) -> bytes:
        assert data.endswith(b"\n")
        self.written.append(data[:-1])
        if self.silent:
            return b""
        units = [data[:-1]] if b"#" in data else data[:-1].split(b";")
        replies = [reply for unit in units if (reply := self._obey(unit.decode("latin-1"))) is not None]
        return (";".join(replies) + "\n").encode("latin-1") if replies else b""

    def _obey(self, unit: str) -> str | None:
        header, _, argument = unit.partition(" ")
        if header in self.refuse:
            self.errors.append(self.refuse[header])
            return None
        if unit in self.registers:
            return self.registers[unit]
        if unit == "*CLS":
            self.errors.clear()
        elif unit == "*OPC?":
            self._busy -= 1
            return "0" if self._busy >= 0 else "1"
        elif unit.upper() == ":SYST:ERR?":
            return self.errors.pop(0) if self.errors else self.no_error
        elif header.endswith("?") and header[:-1] in self.registers and not argument:
            return self.registers[header[:-1]]
        elif header in self.registers and argument:
            self.registers[header] = self._printed(self.registers[header], argument)
            self._busy = self.busy_after_command
        else:
            self.errors.append('-113, "Undefined header"')
        return None

    @staticmethod
    def _printed(present: str, argument: str) -> str:
        number = re.fullmatch(r"([-+.\dE]+)(NM|DBM|S|)", argument)
        if "E" in present and number:
            mantissa, exponent = f"{float(number[1]) * SCALES[number[2]]:+.8E}".split("E")
            return f"{mantissa}E{exponent[0]}{int(exponent[1:]):03d}"
        return {"ON": "1", "OFF": "0"}.get(argument, argument)
