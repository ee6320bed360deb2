"""What an instrument's firmware may touch of the physics: one component's settings and observables."""

from typing import Protocol

from sim_devices.twin.lab_time import LabTime


class ComponentHandle(Protocol):
    """One component of the twin as its instrument holds it; all methods are thread-safe and cost no lab time."""

    @property
    def lab_time(self) -> LabTime:
        """The clock of the bench that the component stands on."""
        ...

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        """Let `settings` hold from `after_s` after now on.

        With `over_s` > 0 a float setting (or a tuple of floats) ramps linearly from its present value.
        Entries of these settings later than now are replaced. Raises ValueError for an unknown setting.
        """
        ...

    def setting(self, name: str) -> object:
        """The value that holds now. Raises ValueError for an unknown setting."""
        ...

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        """Mean of an observable over the `average_s` of lab time that end now; 0 means this instant.

        Raises ValueError for a quantity that the component does not have.
        """
        ...
