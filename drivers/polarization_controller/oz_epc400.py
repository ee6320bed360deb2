"""OZ Optics EPC-400, four fibre squeezers on a serial port (OZ Optics, EPC-Driver, serial commands)."""

from collections.abc import Sequence
from typing import Any

from drivers.polarization_controller import oz_epc400_codec as codec
from qdci_lab.device import Instrument
from qdci_lab.signals import ControlledSignal, TaskStatus, controlled
from qdci_lab.wire.framing import Framing, MarkedFraming

LIMITS_V = (-codec.MAX_VOLTAGE_V, codec.MAX_VOLTAGE_V)
RESOLUTION_V = 0.001


def _voltage(channel: int) -> Any:
    """The component of one channel."""
    return controlled(
        lambda device: device.ask_voltages()[channel - 1],
        lambda device, voltage_v: device.connection.query(codec.set_voltage(channel, voltage_v)),
        "V",
        limits=LIMITS_V,
        resolution=RESOLUTION_V,
    )


class OzEpc400(Instrument):
    """A polarization controller in DC mode.

    It is moved as a whole, `mv(controller, (1, 0, -2.5, 0))` or by its signal `voltages`, or channel by channel. A set
    voltage is taken for reached when the driver reports it: the piezos' settling, well below a millisecond, is assumed
    to be over by then. There is no command for its identity, so its work mode must do for one.
    """

    MODEL = "OZ Optics EPC-400"

    voltages = controlled(
        lambda device: device.ask_voltages(),
        lambda device, voltages_v: device.apply_voltages(voltages_v),
        "V",
        limits=LIMITS_V,
        resolution=RESOLUTION_V,
        kind="omitted",
        check=lambda _device, voltages_v: codec.set_voltages(voltages_v),
        element="channel",
    )
    voltage_1 = _voltage(1)
    voltage_2 = _voltage(2)
    voltage_3 = _voltage(3)
    voltage_4 = _voltage(4)

    @property
    def channels(self) -> tuple[ControlledSignal, ...]:
        """The signals of the four channels, in order."""
        return (self.voltage_1, self.voltage_2, self.voltage_3, self.voltage_4)

    @property
    def position(self) -> tuple[float, ...]:
        """The four voltages in V as last read."""
        return self.voltages.last

    def make_framing(self) -> Framing:
        """Replies of several lines, ended by their mark."""
        return MarkedFraming(terminator=b"\r\n", end_marks=(codec.DONE, codec.REFUSED))

    def identify(self) -> str:
        """The model, if the instrument answers as an EPC-400 does."""
        self.connection.query(codec.work_mode())
        return self.MODEL

    def prepare_instrument(self) -> None:
        """Constant voltages, no scrambling."""
        self.connection.query(codec.choose_dc())

    def check_value(self, voltages_v: Sequence[float]) -> None:
        """LimitError with channel, value, unit and bound, or LocalProtocolError if there are not four voltages."""
        self.voltages.check_value(voltages_v)

    def set(self, voltages_v: Sequence[float], *, timeout: float | None = None) -> TaskStatus:
        """Apply four voltages in V; the status is done when the instrument reports them."""
        return self.voltages.set(voltages_v, timeout=timeout)

    def ask_voltages(self) -> tuple[float, ...]:
        """Ask for all voltages in V at once and keep each channel's; only the worker calls this."""
        voltages_v = self.connection.query(codec.voltages())
        self.voltages.store(voltages_v)
        for signal, voltage_v in zip(self.channels, voltages_v, strict=True):
            signal.store(voltage_v)
        return voltages_v

    def apply_voltages(self, voltages_v: Sequence[float]) -> None:
        """Set all channels, one after the other; only the worker calls this."""
        for query in codec.set_voltages(voltages_v):
            self.connection.query(query)

    def refresh(self) -> None:
        """All voltages in one question."""
        self.ask_voltages()
