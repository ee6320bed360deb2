"""Polatis 6000: a matrix switch with ingress ports 1 to N and egress ports N+1 to N+M, over SCPI.

Reference: the SCPI command set of Polatis switches as public drivers use it: commands, replies, errors printed with a
blank after the comma, replies that end with CR LF.

Assumed: a new connection takes its ports away from the connections they had; switching takes 15 ms, during which the
old paths are already open and the new ones not yet there, while :CONNect:STATe? and :PORT? show the new state at once;
connections that are still being made when others are asked for are finished together with them;
removing a connection that does not exist is no error; a port that does not exist, is named twice or stands in the
wrong list gives -222; connecting a disabled port gives -221, and disabling a port opens its connection; queue 20 deep;
*RST opens everything; the boot mode is remembered without effect; powers have two decimals and end at -60 dBm.
"""

import re
from collections.abc import Mapping
from typing import ClassVar

from qdci_lab.units import ps_to_seconds, seconds_to_ps, watt_to_dbm
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
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

_SIZE = re.compile(r"-(\d+)x(\d+)-")
_POWER_PORTS = 256
_DARK_DBM = -60.0
Connection = tuple[int, int]


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
        size = _SIZE.search(product_code)
        if size is None:
            raise ValueError(
                f"product_code {product_code!r} does not tell the size, as in N-VST-32x32-LU1-DMHNV"
            )
        self._ingress, self._egress = int(size[1]), int(size[2])
        self._matrix = connect(components, ["matrix"])["matrix"]
        self._switching_ps = seconds_to_ps(switching_s)
        self._has_monitors = "I-OST" not in product_code
        self._ip_address = ip_address
        self._ready_ps: dict[Connection, int] = {}
        self._disabled: set[int] = set()
        self._boot_mode = "AUT"
        self.terminator = reply_terminator.encode("ascii")
        identity = f"Polatis,{product_code},{serial_number},{firmware_revision}"
        super().__init__(self._matrix.lab_time, identity, StatusSystem(ErrorQueue(20)))
        self._matrix.apply(connections=frozenset())

    def error_text(self, entry: ErrorEntry) -> str:
        """With a blank after the comma."""
        return f'{entry.code}, "{entry.text}"'

    def reset(self) -> None:
        """Opens every connection and enables every port."""
        self._disabled.clear()
        self._switch(set())

    def busy_until_ps(self) -> int:
        """Lab time at which the last connection is there."""
        return max(self._ready_ps.values(), default=0)

    def commands(self) -> dict[str, Handler]:
        """All commands of the instrument."""
        connections, ports = ":OXC:SWITch:CONNect", ":OXC:SWITch:PORT"
        return super().commands() | {
            f"{connections}:ADD": self._add,
            f"{connections}:ONLY": self._only,
            f"{connections}:SUB": self._sub,
            f"{connections}:STATe?": bare(self._state),
            f"{connections}:PORT?": self._partner,
            ":OXC:SWITch:DISConnect:ALL": bare(lambda: self._switch(set())),
            ":OXC:SWITch:SIZE?": bare(lambda: f"{self._ingress},{self._egress}"),
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
        new = self._connections(request)
        taken = {port for connection in new for port in connection}
        self._switch(new | {old for old in self._ready_ps if taken.isdisjoint(old)})

    def _only(self, request: Request) -> None:
        self._switch(self._connections(request))

    def _sub(self, request: Request) -> None:
        ingress, egress = (self._ports(token) for token in arguments(request, 2))
        if ingress and egress:
            self._switch(set(self._ready_ps) - self._connections(request))
        else:
            self._switch({old for old in self._ready_ps if old[0] not in ingress and old[1] not in egress})

    def _state(self) -> str:
        ordered = sorted(self._ready_ps)
        sides = (",".join(str(connection[side]) for connection in ordered) for side in (0, 1))
        return ",".join(f"(@{side})" for side in sides)

    def _partner(self, request: Request) -> str:
        (token,) = arguments(request, 1)
        port = self._existing(integer(token))
        partners = [sum(connection) - port for connection in self._ready_ps if port in connection]
        return f'"{partners[0]}"' if partners else '""'

    def _disable(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        ports = self._ports(token)
        self._disabled.update(ports)
        self._switch({connection for connection in self._ready_ps if not ports & set(connection)})

    def _enable(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._disabled -= self._ports(token)

    def _port_states(self, request: Request) -> str:
        tokens = arguments(request, 0, 1)
        ports = channel_list(tokens[0]) if tokens else range(1, self._ingress + self._egress + 1)
        return "(" + ",".join("D" if self._existing(port) in self._disabled else "E" for port in ports) + ")"

    def _set_boot_mode(self, request: Request) -> None:
        (token,) = arguments(request, 1)
        self._boot_mode = choice(token, "DARK", "RESTore", "AUTosave")

    def _powers(self, request: Request) -> str:
        (token,) = arguments(request, 1)
        if not self._has_monitors:
            raise ScpiError(UNDEFINED_HEADER)
        ports = channel_list(token)
        if len(ports) > _POWER_PORTS:
            raise ScpiError(TOO_MUCH_DATA)
        return "(" + ",".join(f"{self._power_dbm(self._existing(port)):.2f}" for port in ports) + ")"

    def _power_dbm(self, port: int) -> float:
        try:
            power_w = self._matrix.sense(f"port_power_w:{port}")
        except ValueError as error:
            raise ScpiError(HARDWARE_MISSING) from error
        return max(watt_to_dbm(power_w), _DARK_DBM)

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
        if not 1 <= port <= self._ingress + self._egress:
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
        tokens = arguments(request, 2)
        ingress, egress = (channel_list(token) for token in tokens)
        on_their_sides = all(port <= self._ingress for port in self._ports(tokens[0])) and all(
            port > self._ingress for port in self._ports(tokens[1])
        )
        if len(ingress) != len(egress) or not on_their_sides:
            raise ScpiError(DATA_OUT_OF_RANGE)
        if self._disabled & {*ingress, *egress}:
            raise ScpiError(SETTINGS_CONFLICT)
        return set(zip(ingress, egress, strict=True))

    def _switch(self, wanted: set[Connection]) -> None:
        """Open what is not wanted at once and make what is new later; what is there and wanted stays."""
        if wanted == set(self._ready_ps):
            return
        now_ps = self.lab_time.now_ps()
        there = {
            one: ready_ps for one, ready_ps in self._ready_ps.items() if one in wanted and ready_ps <= now_ps
        }
        self._ready_ps = dict.fromkeys(wanted, now_ps + self._switching_ps) | there
        self._matrix.apply(connections=frozenset(there))
        if wanted != set(there):
            self._matrix.apply(connections=frozenset(wanted), after_s=ps_to_seconds(self._switching_ps))
