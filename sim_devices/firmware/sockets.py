"""Where a firmware's sockets meet the twin's components, and what stands in for a socket left open."""

from collections.abc import Collection, Mapping

from sim_devices.twin.handle import ComponentHandle
from sim_devices.twin.lab_time import LabTime


class Unconnected:
    """A port with no fibre on it: settings go nowhere and every observable reads zero."""

    def __init__(self, lab_time: LabTime) -> None:
        self._lab_time = lab_time

    @property
    def lab_time(self) -> LabTime:
        """The clock of the instrument that has this port."""
        return self._lab_time

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        """Accept any setting and let it do nothing."""

    def setting(self, name: str) -> object:
        """Refuse: nothing is connected that could have a setting."""
        raise ValueError(f"no component is connected, so there is no setting {name!r}")

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        """Zero, whatever the quantity: no light, no counts."""
        del quantity, average_s
        return 0.0


class BenchSockets(dict[str, ComponentHandle]):
    """Components by socket, and the bench's clock, which also an instrument connected to nothing goes by."""

    def __init__(self, components: Mapping[str, ComponentHandle], lab_time: LabTime) -> None:
        super().__init__(components)
        self.lab_time = lab_time


def lab_time_of(components: Mapping[str, ComponentHandle]) -> LabTime:
    """The clock of the bench or of the components, or one of its own for an instrument that stands alone."""
    if isinstance(components, BenchSockets):
        return components.lab_time
    return next((handle.lab_time for handle in components.values()), None) or LabTime()


def connect(
    components: Mapping[str, ComponentHandle], sockets: Collection[str]
) -> dict[str, ComponentHandle]:
    """One handle for every socket name; raises ValueError if `components` names a socket that does not exist."""
    unknown = sorted(set(components) - set(sockets))
    if unknown:
        raise ValueError(f"no socket {', '.join(unknown)}; there are {', '.join(sockets)}")
    lab_time = lab_time_of(components)
    return {name: components.get(name) or Unconnected(lab_time) for name in sockets}
