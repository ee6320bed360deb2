"""The matrix of a Polatis 6000: its ports, its connections and when they are there, for every protocol it speaks.

Ingress ports are numbered 1 to N, egress ports N+1 to N+M; the product code tells N and M.

Assumed: switching takes 15 ms, during which the old paths are already open and the new ones not yet there;
connections that are still being made when others are asked for are finished together with them; powers end at -60 dBm.
"""

import re
from collections.abc import Collection, Mapping

from qdci_lab.units import ps_to_seconds, seconds_to_ps, watt_to_dbm
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

DARK_DBM = -60.0
Connection = tuple[int, int]
_SIZE = re.compile(r"-(\d+)x(\d+)-")


class PolatisMatrix:
    """Socket "matrix": the optical switch component. Not locked: the instrument in front of it is."""

    def __init__(
        self, components: Mapping[str, ComponentHandle], product_code: str, switching_s: float
    ) -> None:
        size = _SIZE.search(product_code)
        if size is None:
            raise ValueError(
                f"product_code {product_code!r} does not tell the size, as in N-VST-32x32-LU1-DMHNV"
            )
        self.ingress, self.egress = int(size[1]), int(size[2])
        self.has_monitors = "I-OST" not in product_code
        self._light = connect(components, ["matrix"])["matrix"]
        self.lab_time = self._light.lab_time
        self._switching_ps = seconds_to_ps(switching_s)
        self._ready_ps: dict[Connection, int] = {}
        self._shuttered: set[int] = set()
        self._light.apply(connections=frozenset())

    @property
    def ports(self) -> range:
        """All ports, ingress first."""
        return range(1, self.ingress + self.egress + 1)

    @property
    def connections(self) -> list[Connection]:
        """What is connected or about to be, by ingress port."""
        return sorted(self._ready_ps)

    @property
    def shuttered(self) -> Collection[int]:
        """Ports whose shutter is closed: their connections stay, without light."""
        return self._shuttered

    def is_pair(self, connection: Connection) -> bool:
        """Whether these are an ingress and an egress port, in this order."""
        return 1 <= connection[0] <= self.ingress < connection[1] <= self.ingress + self.egress

    def partner(self, port: int) -> int | None:
        """The port at the other end, if there is one."""
        return next((sum(pair) - port for pair in self._ready_ps if port in pair), None)

    def busy_until_ps(self) -> int:
        """Lab time at which the last connection is there."""
        return max(self._ready_ps.values(), default=0)

    def add(self, new: Collection[Connection]) -> None:
        """Make connections; those that had one of their ports are opened."""
        taken = {port for connection in new for port in connection}
        self.switch({*new, *(old for old in self._ready_ps if taken.isdisjoint(old))})

    def open_ports(self, ports: Collection[int]) -> None:
        """Open every connection that has one of these ports."""
        self.switch({old for old in self._ready_ps if not set(old) & set(ports)})

    def switch(self, wanted: Collection[Connection]) -> None:
        """Open what is not wanted at once and make what is new later; what is there and wanted stays."""
        if set(wanted) == set(self._ready_ps):
            return
        now_ps = self.lab_time.now_ps()
        there = {
            one: ready_ps for one, ready_ps in self._ready_ps.items() if one in wanted and ready_ps <= now_ps
        }
        self._ready_ps = dict.fromkeys(wanted, now_ps + self._switching_ps) | there
        self._pass_light()

    def close_shutters(self, ports: Collection[int]) -> None:
        """Let no light through these ports, at once."""
        self._shuttered.update(ports)
        self._pass_light()

    def open_shutters(self, ports: Collection[int]) -> None:
        """Let light through these ports, at once."""
        self._shuttered.difference_update(ports)
        self._pass_light()

    def power_dbm(self, port: int) -> float:
        """Power at a port. Raises ValueError if the component has no monitor there."""
        return max(watt_to_dbm(self._light.sense(f"port_power_w:{port}")), DARK_DBM)

    def _pass_light(self) -> None:
        now_ps = self.lab_time.now_ps()
        wanted = frozenset(one for one in self._ready_ps if self._shuttered.isdisjoint(one))
        there = frozenset(one for one in wanted if self._ready_ps[one] <= now_ps)
        self._light.apply(connections=there)
        if wanted != there:
            after_s = ps_to_seconds(self.busy_until_ps() - now_ps)
            self._light.apply(connections=wanted, after_s=after_s)
