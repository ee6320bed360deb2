"""Polatis 6000 (Huber+Suhner): optical matrix switch, spoken to in SCPI.

Reference: the SCPI commands of the Polatis optical switches' user manual, known from public drivers. Assumed: the
switch has settled within 5 s, which is far longer than its mirrors or collimators take.
"""

from collections.abc import Sequence

from drivers.optical_switch.matrix_connections import Route
from drivers.optical_switch.matrix_switch import MatrixSwitch
from drivers.optical_switch.polatis_6000_codec import CLEAR_STATUS, Connections, SwitchSize

SETTLING_S = 5.0


class Polatis6000(MatrixSwitch):
    """A matrix switch at its SCPI port, 5025, or on a serial line."""

    MODEL = "Polatis 6000"
    IDENTITY_CONTAINS = "Polatis"
    BAUD_RATE = 38400

    def prepare_instrument(self) -> None:
        """Clear errors and ask for the number of ports."""
        self.connection.command(CLEAR_STATUS)
        self.size = self.connection.checked_query(SwitchSize.get())

    def ask_routes(self) -> Sequence[Route]:
        """The pairs of ports that are connected; only the worker calls this."""
        return self.connection.checked_query(Connections.get())

    def take_away(self, pairs: Sequence[Route]) -> None:
        """Disconnect these pairs; only the worker calls this."""
        self.connection.checked(Connections.subtract(pairs))

    def make(self, pairs: Sequence[Route]) -> None:
        """Connect these pairs; only the worker calls this."""
        self.connection.checked(Connections.add(pairs))

    def await_light(self) -> None:
        """Wait until the switch has completed what it was told."""
        self.await_completion(within_s=SETTLING_S)
