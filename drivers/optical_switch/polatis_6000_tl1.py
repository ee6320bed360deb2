"""Polatis 6000 (Huber+Suhner): optical matrix switch, spoken to in TL1.

Reference: the TL1 commands of the Polatis optical switches' user manual, known from public drivers. Assumed: patches
are completed within 5 s.
"""

import contextlib
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeVar

from drivers.optical_switch import polatis_6000_tl1_codec as codec
from drivers.optical_switch.matrix_connections import Route
from drivers.optical_switch.matrix_switch import MatrixSwitch
from qdci_lab.connection import Conceal
from qdci_lab.errors import LabError
from qdci_lab.wire.framing import Framing
from qdci_lab.wire.message import Query
from qdci_lab.wire.tl1 import Tl1Framing

T = TypeVar("T")

SETTLING_S = 5.0


class Polatis6000Tl1(MatrixSwitch):
    """A matrix switch at its TL1 port, 3082, as one of its users; a new link is a new login."""

    MODEL = "Polatis 6000"
    IDENTITY_CONTAINS = "Polatis"

    def __init__(self, address: str, *, user: str = "root", password: str = "root", **kwargs: Any) -> None:
        self._user = user
        self._password = password
        self._tags = count(1)
        super().__init__(address, **kwargs)
        self.connection.greet = self.log_in

    def make_framing(self) -> Framing:
        """TL1 messages."""
        return Tl1Framing()

    def find_concealment(self) -> Conceal:
        """Passwords are not shown."""
        return codec.without_password

    def log_in(self) -> None:
        """What a new link begins with."""
        self.connection.query(codec.log_in(next(self._tags), self._user, self._password))

    def close_link(self) -> None:
        """Log out, if there is still somebody to say it to, and close the connection."""
        if self.connection.transport.is_open:
            with contextlib.suppress(LabError):
                self.connection.command(codec.log_out(next(self._tags), self._user))
        super().close_link()

    def ask(self, entry: Callable[[int], Query[T]], *, within_s: float = 0.0) -> T:
        """The value behind a codec entry; only the worker calls this."""
        return self.connection.query(entry(next(self._tags)), timeout_s=within_s + self.timeout_s)

    def identify(self) -> str:
        """Maker, model, and firmware."""
        return self.ask(codec.identity)

    def prepare_instrument(self) -> None:
        """Ask for the number of ports."""
        self.size = self.ask(codec.switch_size)

    def ask_routes(self) -> Sequence[Route]:
        """The pairs of ports that are connected; only the worker calls this."""
        return self.ask(codec.patches)

    def take_away(self, pairs: Sequence[Route]) -> None:
        """Disconnect these pairs; only the worker calls this."""
        self.ask(lambda tag: codec.delete_patches(tag, pairs), within_s=SETTLING_S)

    def make(self, pairs: Sequence[Route]) -> None:
        """Connect these pairs; only the worker calls this."""
        self.ask(lambda tag: codec.enter_patches(tag, pairs), within_s=SETTLING_S)
