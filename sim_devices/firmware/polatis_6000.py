"""Polatis 6000: a matrix switch with ingress ports 1 to N and egress ports N+1 to N+M, over SCPI.

Reference: the SCPI command set of Polatis switches as public drivers use it: commands, replies, errors printed with a
blank after the comma, replies that end with CR LF.

Assumed: a new connection takes its ports away from the connections they had; :CONNect:STATe? and :PORT? show the new
state at once, while the matrix takes its time (see `polatis_matrix`); removing a connection that does not
exist is no error; a port that does not exist, is named twice or stands in the wrong list gives -222; connecting a
disabled port gives -221, and disabling a port opens its connection; queue 20 deep; *RST opens everything; the boot mode
is remembered without effect; powers have two decimals.
"""

from collections.abc import Mapping
from typing import ClassVar

from sim_devices.firmware.polatis_matrix import Connection, PolatisMatrix
from sim_devices.firmware.scpi import ScpiInstrument
from sim_devices.firmware.scpi_errors import (
    DATA_OUT_OF_RANGE,
    HARDWARE_MISSING,
    SETTINGS_CONFLICT,
    TOO_MUCH_DATA,
    UNDEFINED_HEADER,
    ErrorEntry,
    ScpiError,
)
from sim_devices.firmware.scpi_status import ErrorQueue, StatusSystem
from sim_devices.firmware.scpi_tree import Handler, Request
from sim_devices.firmware.scpi_values import arguments, bare, channel_list, choice, integer
from sim_devices.twin.handle import ComponentHandle

_POWER_PORTS = 256


class Polatis6000(ScpiInstrument):
    """Socket "matrix": the optical switch component."""

    MODEL: ClassVar[str] = "Polatis 6000"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "6.5.2.18",
        product_code: str = "N-VST-32x32-LU1-DMHNV",
        switching_s: float = 15e-3,
        ip_address: str = "192.168.1.1",
        reply_terminator: str = "\r\n",
    ) -> None:
        self._matrix = PolatisMatrix(components, product_code, switching_s)
        self._ip_address = ip_address
        self._disabled: set[int] = set()
        self._boot_mode = "AUT"
        self.terminator = reply_terminator.encode("ascii")
        identity = f"Polatis,{product_code},{serial_number},{firmware_revision}"
        super().__init__(self._matrix.lab_time, identity, StatusSystem(ErrorQueue(20)))

    def error_text(self, entry: ErrorEntry) -> str:
        """With a blank after the comma."""
        return f'{entry.code}, "{entry.text}"'

    def reset(self) -> None:
        """Opens every connection and enables every port."""
        self._disabled.clear()
        self._matrix.switch(set())

    def busy_until_ps(self) -> int:
        """Lab time at which the last connection is there."""
        return self._matrix.busy_until_ps()

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        connections, ports = ":OXC:SWITch:CONNect", ":OXC:SWITch:PORT"
        return super().commands() | {
            f"{connections}:ADD": self._add,
            f"{connections}:ONLY": self._only,
            f"{connections}:SUB": self._sub,
            f"{connections}:STATe?": bare(self._state),
            f"{connections}:PORT?": self._partner,
            ":OXC:SWITch:DISConnect:ALL": bare(lambda: self._matrix.switch(set())),
            ":OXC:SWITch:SIZE?": bare(lambda: f"{self._matrix.ingress},{self._matrix.egress}"),
            f"{ports}:DISable": self._disable,
            f"{ports}:ENABle": self._enable,
            f"{ports}:STATe?": self._port_states,
            ":OXC:BOOT:MODE": self._set_boot_mode,
            ":OXC:BOOT:MODE?": bare(lambda: self._boot_mode),
            ":PMON:POWer?": self._powers,
            ":SYSTem:COMMunicate:NETWork[k]:ADDRess?": self._network,
            ":SYSTem:ERRor:ALL?": bare(self._all_errors),
        }

    def _add(self, request: Request) -> None:
        self._matrix.add(self._connections(request))

    def _only(self, request: Request) -> None:
        self._matrix.switch(self._connections(request))

    def _sub(self, request: Request) -> None:
        ingress, egress = (self._ports(token) for token in arguments(request, 2))
        present = self._matrix.connections
        if ingress and egress:
            self._matrix.switch(set(present) - self._connections(request))
        else:
            self._matrix.switch({one for one in present if one[0] not in ingress and one[1] not in egress})

    def _state(self) -> str:
        present = self._matrix.connections
        sides = (",".join(str(connection[side]) for connection in present) for side in (0, 1))
        return ",".join(f"(@{side})" for side in sides)

    def _partner(self, request: Request) -> str:
        (token,) = arguments(request, 1)
        partner = self._matrix.partner(self._existing(integer(token)))
        return '""' if partner is None else f'"{partner}"'

    def _disable(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        ports = self._ports(token)
        self._disabled.update(ports)
        self._matrix.open_ports(ports)

    def _enable(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._disabled -= self._ports(token)

    def _port_states(self, request: Request) -> str:
        tokens = arguments(request, 0, 1)
        ports = channel_list(tokens[0]) if tokens else self._matrix.ports
        return "(" + ",".join("D" if self._existing(port) in self._disabled else "E" for port in ports) + ")"

    def _set_boot_mode(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._boot_mode = choice(token, "DARK", "RESTore", "AUTosave")

    def _powers(self, request: Request) -> str:
        (token,) = arguments(request, 1)
        if not self._matrix.has_monitors:
            raise ScpiError(UNDEFINED_HEADER)
        ports = channel_list(token)
        if len(ports) > _POWER_PORTS:
            raise ScpiError(TOO_MUCH_DATA)
        return "(" + ",".join(f"{self._power_dbm(self._existing(port)):.2f}" for port in ports) + ")"

    def _power_dbm(self, port: int) -> float:
        try:
            return self._matrix.power_dbm(port)
        except ValueError as error:
            raise ScpiError(HARDWARE_MISSING) from error

    def _network(self, request: Request) -> str:
        arguments(request, 0)
        broadcast = self._ip_address.rpartition(".")[0] + ".255"
        addresses = {
            "IP": self._ip_address,
            "Gateway": "0.0.0.0",
            "Mask": "255.255.255.0",
            "Broadcast": broadcast,
        }
        return " ".join(f'{name}="{address}"' for name, address in addresses.items())

    def _all_errors(self) -> str:
        entries = [self.status.errors.pop()]
        while len(self.status.errors):
            entries.append(self.status.errors.pop())
        return ",".join(self.error_text(entry) for entry in entries)

    def _existing(self, port: int) -> int:
        if port not in self._matrix.ports:
            raise ScpiError(DATA_OUT_OF_RANGE)
        return port

    def _ports(self, token: bytes) -> set[int]:
        listed = channel_list(token)
        ports = {self._existing(port) for port in listed}
        if len(ports) < len(listed):
            raise ScpiError(DATA_OUT_OF_RANGE)
        return ports

    def _connections(self, request: Request) -> set[Connection]:
        """The pairs that two channel lists of one length make: -222 if they are none, -221 for a disabled port."""
        lists = [channel_list(token) for token in arguments(request, 2)]
        for token in request.parameters:
            self._ports(token)
        ingress, egress = lists
        if len(ingress) != len(egress):
            raise ScpiError(DATA_OUT_OF_RANGE)
        pairs = set(zip(ingress, egress, strict=True))
        if not all(map(self._matrix.is_pair, pairs)):
            raise ScpiError(DATA_OUT_OF_RANGE)
        if self._disabled & {*ingress, *egress}:
            raise ScpiError(SETTINGS_CONFLICT)
        return pairs
