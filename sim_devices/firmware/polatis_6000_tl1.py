"""Polatis 6000 over TL1: the same matrix switch as `polatis_6000`, with a login, on the port that is 3082 as a rule.

Reference: the TL1 command set of Polatis switches as public drivers and scripts use it: commands in either case, texts
of the responses, `( nil )` for a source identifier that is not set.

Assumed: error codes of GR-831, in a line before their meaning; nothing but ACT-USER is done without a login; a response
comes when the switching is over; the ports of a connection may be given in either order; a new connection takes its
ports away from others; a closed shutter keeps the connection, without light; opening what is not connected is no error;
INIT-SYS 0 changes nothing, 1 does what the boot mode says, 10 opens everything and forgets the port settings; the clock
starts on 2024-01-01 and runs on lab time; formats of RTRV-INV, RTRV-IP, RTRV-MAC and RTRV-USER; one user; messages
that are not asked for are never sent; powers have one decimal.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from qdci_lab.units import ps_to_seconds
from sim_devices.firmware.polatis_6000_ports import PortSettings
from sim_devices.firmware.polatis_matrix import Connection, PolatisMatrix
from sim_devices.firmware.tl1 import (
    Tl1Command,
    Tl1Denied,
    Tl1Session,
    invalid_access,
    invalid_command,
    invalid_data,
    numbers,
    parse,
    response,
)
from sim_devices.twin.handle import ComponentHandle

START = datetime(2024, 1, 1)
NO_SOURCE = "( nil )"
_MAC = "00:50:c2:75:4d:01"


class Polatis6000Tl1:
    """Socket "matrix": the optical switch component."""

    MODEL = "Polatis 6000"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        firmware_revision: str = "6.5.2.18",
        product_code: str = "N-VST-32x32-LU1-DMHNV",
        switching_s: float = 15e-3,
        ip_address: str = "192.168.1.1",
        user: str = "root",
        password: str = "root",
    ) -> None:
        self._matrix = PolatisMatrix(components, product_code, switching_s)
        self._serial_number = serial_number
        self._firmware_revision = firmware_revision
        self._product_code = product_code
        self._ip_address = ip_address
        self._user, self._password = user, password
        self._lock = threading.RLock()
        self._source = ""
        self._clock_error = timedelta()
        self._boot_mode = "DARK"
        self._timeouts = {"ADMIN": "0", "USER": "0"}
        self._forget_port_settings()
        self._plain = self._plain_commands()
        self._commands = self._general_commands() | self._switching_commands()

    def session(self) -> Tl1Session:
        """A connection that nobody has logged in on."""
        return Tl1Session(self._answer)

    def _answer(self, text: str, session: Tl1Session) -> bytes:
        with self._lock:
            command = parse(text)
            try:
                lines = self._execute(command, session)
                completion = "COMPLD"
            except Tl1Denied as denial:
                lines = [denial.code, f'"{denial}"']
                completion = "DENY"
            stamp = f"{self._now():%y-%m-%d %H:%M:%S}"
            return response(self._source or NO_SOURCE, stamp, command.ctag, completion, lines)

    def _execute(self, command: Tl1Command, session: Tl1Session) -> list[str]:
        if command.target not in ("", self._source, NO_SOURCE):
            raise Tl1Denied("IITA", "Input, Invalid Target Identifier")
        if command.verb == "ACT-USER":
            return self._log_in(command, session)
        if not session.logged_in:
            raise Tl1Denied("PLNA", "Privilege, Login Not Active")
        if command.verb == "CANC-USER":
            session.logged_in = False
            return []
        if command.verb in self._port_commands:
            return self._port_commands[command.verb](command, self._ports(command.access))
        if command.verb in self._plain:
            return self._plain[command.verb]()
        if command.verb not in self._commands:
            raise invalid_command()
        return self._commands[command.verb](command)

    def _plain_commands(self) -> dict[str, Callable[[], list[str]]]:
        """Commands in which nothing but the verb matters."""
        return {
            "RTRV-HDR": list,
            "ALW-MSG-ALL": list,
            "INH-MSG-ALL": list,
            "RTRV-NETYPE": lambda: [f'"Polatis,{self._product_code},OCS,{self._firmware_revision}"'],
            "RTRV-TOD": lambda: [f'"{self._now():%Y,%m,%d,%H,%M,%S,0}"'],
            "RTRV-USER": lambda: [f'"{self._user}:,ADMIN"'],
        }

    def _general_commands(self) -> dict[str, Callable[[Tl1Command], list[str]]]:
        return {
            "RTRV-INV": self._inventory,
            "RTRV-EQPT": self._equipment,
            "ED-EQPT": self._edit_equipment,
            "RTRV-IP": lambda command: [f'"{",".join(self._network(command).values())}"'],
            "RTRV-IPPORT": self._network_with_names,
            "RTRV-MAC": self._hardware_address,
            "ED-DAT": self._set_clock,
            "SET-SID": self._set_source,
            "RTRV-USER-SECU": self._list_users,
            "INIT-SYS": self._restart,
        }

    def _switching_commands(self) -> dict[str, Callable[[Tl1Command], list[str]]]:
        return {
            "ENT-PATCH": self._connect,
            "DLT-PATCH": self._disconnect,
            "RTRV-PATCH": self._list_connections,
            "OPR-PORT-SHUTTER": lambda command: self._shut(self._matrix.close_shutters, command),
            "RLS-PORT-SHUTTER": lambda command: self._shut(self._matrix.open_shutters, command),
            "RTRV-PORT-SHUTTER": self._list_shutters,
            "RTRV-PORT-POWER": self._list_powers,
        }

    def _now(self) -> datetime:
        return START + timedelta(seconds=ps_to_seconds(self._matrix.lab_time.now_ps())) + self._clock_error

    def _log_in(self, command: Tl1Command, session: Tl1Session) -> list[str]:
        if (command.access, "".join(command.positional[:1])) != (self._user, self._password):
            raise Tl1Denied("PICC", "Privilege, Illegal Command Code")
        session.logged_in = True
        return []

    def _ports(self, access: str) -> list[int]:
        """The ports that an access identifier names; all of them if it is empty."""
        if access.upper() in ("", "ALL"):
            return list(self._matrix.ports)
        ports = numbers(access)
        if not all(port in self._matrix.ports for port in ports):
            raise invalid_access()
        return ports

    def _connect(self, command: Tl1Command) -> list[str]:
        sides = [self._ports(side) if side.strip() else [] for side in command.access.split(",")]
        if len(sides) != 2 or not sides[0] or len(sides[0]) != len(sides[1]):
            raise invalid_access()
        pairs: set[Connection] = {(min(pair), max(pair)) for pair in zip(*sides, strict=True)}
        if not all(map(self._matrix.is_pair, pairs)) or len({*sides[0], *sides[1]}) != 2 * len(sides[0]):
            raise invalid_access()
        self._matrix.add(pairs)
        self._matrix.lab_time.advance_to(self._matrix.busy_until_ps())
        return []

    def _disconnect(self, command: Tl1Command) -> list[str]:
        if not command.access:
            raise invalid_access()
        self._matrix.open_ports(self._ports(command.access.replace(",", "&")))
        return []

    def _list_connections(self, command: Tl1Command) -> list[str]:
        wanted = set(self._ports(command.access))
        return [f'"{one},{other}"' for one, other in self._matrix.connections if wanted & {one, other}]

    def _shut(self, action: Callable[[Sequence[int]], None], command: Tl1Command) -> list[str]:
        action(self._ports(command.access))
        return []

    def _list_shutters(self, command: Tl1Command) -> list[str]:
        closed = self._matrix.shuttered
        return [f'"{port}:{"CLOSED" if port in closed else "OPEN"}"' for port in self._ports(command.access)]

    def _list_powers(self, command: Tl1Command) -> list[str]:
        ports = self._ports(command.access)
        if not self._matrix.has_monitors:
            raise Tl1Denied("ENEQ", "Equipage, Not Equipped")
        try:
            return [f'"{port}:{self._matrix.power_dbm(port):.1f}"' for port in ports]
        except ValueError as error:
            raise Tl1Denied("ENEQ", "Equipage, Not Equipped") from error

    def _inventory(self, command: Tl1Command) -> list[str]:
        if command.access.upper() not in ("", "OCS"):
            raise invalid_access()
        return [f'"OCS:PN={self._product_code},HW=1,FW={self._firmware_revision},SN={self._serial_number}"']

    def _equipment(self, command: Tl1Command) -> list[str]:
        monitored = "OUTPUT" if self._matrix.has_monitors else "NONE"
        values: Mapping[tuple[str, str], Callable[[], list[str]]] = {
            ("SYSTEM", "SIZE"): lambda: [f'"SYSTEM:SIZE={self._matrix.ingress}x{self._matrix.egress}"'],
            ("PMON", "CONFIG"): lambda: [
                f'"PMON::PORT={port},MODE={monitored}"' for port in self._matrix.ports
            ],
            ("ATTEN", "CONFIG"): lambda: ['"ATTEN:CONFIG=ABSOLUTE"'],
            ("BOOT", "MODE"): lambda: [f'"BOOT:MODE={self._boot_mode}"'],
            ("BOOT", "CONFIG"): lambda: [f'"BOOT:MODE={self._boot_mode}"'],
            ("TIMEOUT", "ADMIN"): lambda: [f'"TIMEOUT:ADMIN={self._timeouts["ADMIN"]}"'],
            ("TIMEOUT", "USER"): lambda: [f'"TIMEOUT:USER={self._timeouts["USER"]}"'],
        }
        equipment = command.access.upper()
        if equipment not in {known for known, _ in values}:
            raise invalid_access()
        value = values.get((equipment, command.named.get("PARAMETER", "").upper()))
        if value is None:
            raise invalid_data()
        return value()

    def _edit_equipment(self, command: Tl1Command) -> list[str]:
        if command.access.upper() == "BOOT":
            mode = command.named.get("MODE", "").upper()
            if mode not in ("DARK", "RESTORE"):
                raise invalid_data()
            self._boot_mode = mode
        elif command.access.upper() == "TIMEOUT":
            if not command.named or not all(
                name in self._timeouts and value.isdigit() for name, value in command.named.items()
            ):
                raise invalid_data()
            self._timeouts |= command.named
        else:
            raise invalid_access()
        return []

    def _interface(self, command: Tl1Command) -> str:
        if command.access.lower() not in ("", "eth0"):
            raise invalid_access()
        return "eth0"

    def _network(self, command: Tl1Command) -> dict[str, str]:
        self._interface(command)
        broadcast = self._ip_address.rpartition(".")[0] + ".255"
        return {
            "IP": self._ip_address,
            "GATEWAY": "0.0.0.0",
            "MASK": "255.255.255.0",
            "BROADCAST": broadcast,
        }

    def _network_with_names(self, command: Tl1Command) -> list[str]:
        named = ",".join(f"{name}={address}" for name, address in self._network(command).items())
        return [f'"{self._interface(command)}:{named}"']

    def _hardware_address(self, command: Tl1Command) -> list[str]:
        self._interface(command)
        return [f'"{_MAC}"']

    def _set_clock(self, command: Tl1Command) -> list[str]:
        try:
            wanted = datetime.strptime(",".join(command.positional), "%y-%m-%d,%H-%M-%S")
        except ValueError as error:
            raise invalid_data() from error
        self._clock_error += wanted - self._now()
        return []

    def _set_source(self, command: Tl1Command) -> list[str]:
        source = "".join(command.positional[:1])
        if re.fullmatch(r"[\w .-]{1,40}", source) is None:
            raise invalid_data()
        self._source = source
        return []

    def _list_users(self, command: Tl1Command) -> list[str]:
        if command.access not in ("", self._user):
            raise invalid_access()
        return [f'"{self._user}:,ADMIN"']

    def _restart(self, command: Tl1Command) -> list[str]:
        if command.access.upper() not in ("", "SYSTEM"):
            raise invalid_access()
        phase = "".join(command.positional)
        if phase not in ("0", "1", "10"):
            raise invalid_data()
        if phase == "10":
            self._boot_mode = "DARK"
            self._source = ""
            self._forget_port_settings()
            self._matrix.open_shutters(self._matrix.ports)
        if phase == "10" or (phase == "1" and self._boot_mode == "DARK"):
            self._matrix.switch(set())
        return []

    def _forget_port_settings(self) -> None:
        ports = self._matrix.ports
        self._port_commands = PortSettings(ports, ports[self._matrix.ingress :]).commands()
