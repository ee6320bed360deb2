"""Keysight E36312A: DC supply with three outputs.

Reference: Keysight E36300 Series Programming Guide, as public drivers use it; ratings from the series' data sheet,
5992-2124EN: 6 V and 5 A at output 1, 25 V and 1 A at outputs 2 and 3. Assumed: steps of 1 mV and 1 mA, and that an
output has settled when the instrument has completed the command.

Each output is a device of its own; several may share one instrument.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from drivers.supply.keysight_e36312a_codec import (
    CLEAR_STATUS,
    CurrentLimit,
    OutputState,
    VoltageSetpoint,
    checked_channel,
    measured_current,
    measured_voltage,
)
from qdci_lab.device import Instrument
from qdci_lab.errors import LocalProtocolError
from qdci_lab.signals import Bounds, controlled, measured, switched
from qdci_lab.wire.message import Command, Query

T = TypeVar("T")

RATINGS_V = {1: 6.0, 2: 25.0, 3: 25.0}
RATINGS_A = {1: 5.0, 2: 1.0, 3: 1.0}


class KeysightE36312A(Instrument):
    """One output, `channel` 1 to 3.

    What is connected may stand less than the supply can give: `max_voltage_v` and `max_current_a` are then the bounds
    of what can be set. Values that the instrument has from before stay as they are until they are set.
    """

    MODEL = "Keysight E36312A"
    IDENTITY_CONTAINS = "E36312A"

    voltage_setpoint = controlled(
        lambda device: device.ask(VoltageSetpoint.get),
        lambda device, value: device.obey(VoltageSetpoint.set(device.channel, value)),
        "V",
        limits=lambda device: device.voltage_range_v,
        resolution=0.001,
    )
    current_limit = controlled(
        lambda device: device.ask(CurrentLimit.get),
        lambda device, value: device.obey(CurrentLimit.set(device.channel, value)),
        "A",
        limits=lambda device: device.current_range_a,
        resolution=0.001,
        kind="config",
    )
    output = switched(
        lambda device: device.ask(OutputState.get),
        lambda device, value: device.obey(OutputState.set(device.channel, value)),
    )
    voltage = measured(lambda device: device.ask(measured_voltage), "V", precision=4, kind="hinted")
    current = measured(lambda device: device.ask(measured_current), "A", precision=4)

    def __init__(
        self,
        address: str,
        *,
        channel: int,
        max_voltage_v: float | None = None,
        max_current_a: float | None = None,
        timeout_s: float = 2.0,
        **kwargs: Any,
    ) -> None:
        self.channel = checked_channel(channel)
        self.voltage_range_v = _bounds("max_voltage_v", RATINGS_V[channel], max_voltage_v)
        self.current_range_a = _bounds("max_current_a", RATINGS_A[channel], max_current_a)
        super().__init__(address, timeout_s=timeout_s, **kwargs)

    def ask(self, entry: Callable[[int], Query[T]]) -> T:
        """The value behind a codec entry, for this output; InstrumentError if the instrument refuses the query."""
        return self.connection.checked_query(entry(self.channel))

    def obey(self, command: Command) -> None:
        """Send a command, and wait until the instrument has carried it out; InstrumentError if it refuses."""
        self.connection.checked(command)
        self.await_completion()

    def prepare_instrument(self) -> None:
        """Forget errors from before our time; the output stays as it is."""
        self.connection.command(CLEAR_STATUS)

    def enter_safe_state(self) -> None:
        """Output off."""
        self.connection.checked(OutputState.set(self.channel, 0))
        self.output.refresh()


def _bounds(option: str, rating: float, maximum: float | None) -> Bounds:
    if maximum is None:
        return 0.0, rating
    if not 0.0 <= maximum <= rating:
        raise LocalProtocolError(f"{option} = {maximum:g}: must be from 0 to {rating:g}, the output's rating")
    return 0.0, maximum
