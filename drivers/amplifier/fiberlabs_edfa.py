"""FiberLabs desktop optical fibre amplifier on its serial port (FiberLabs Programming Manual v4.0, RS-232)."""

from typing import Any, Literal

from drivers.amplifier import fiberlabs_edfa_codec as codec
from qdci_lab.device import Instrument
from qdci_lab.signals import controlled, measured, switched
from qdci_lab.wire.framing import AnyLineFraming, Framing

MIN_OUTPUT_POWER_DBM = -10.0
DELIMITERS = {"CR": b"\r", "LF": b"\n"}


class FiberlabsEdfa(Instrument):
    """An erbium-doped fibre amplifier with one optical path.

    `max_output_power_dbm` is the model's, the instrument does not report it; that no model goes below -10 dBm and that
    all work in steps of 0.1 dB is assumed. `delimiter` is a setting of the front panel, `CR` when it comes from the
    maker. The words of the reply to `*IDN?` are not in the manual, so that no model is looked for in it.
    """

    MODEL = "FiberLabs EDFA"

    output_power_setpoint = controlled(
        lambda device: device.connection.query(codec.OutputPowerSetpoint.get()),
        lambda device, power_dbm: device.connection.query(codec.OutputPowerSetpoint.set(power_dbm)),
        "dBm",
        precision=2,
        limits=lambda device: (MIN_OUTPUT_POWER_DBM, device.max_output_power_dbm),
        resolution=0.1,
    )
    emission = switched(
        lambda device: device.connection.query(codec.Emission.get()),
        lambda device, on: device.connection.query(codec.Emission.set(on)),
    )
    control_mode = controlled(
        lambda device: device.connection.query(codec.ControlMode.get()),
        lambda device, mode: device.set_control_mode(mode),
        None,
        kind="config",
        check=lambda _device, mode: codec.ControlMode.set(mode),
    )
    output_power = measured(
        lambda device: device.connection.query(codec.output_power()), "dBm", precision=2, kind="hinted"
    )
    input_power = measured(lambda device: device.connection.query(codec.input_power()), "dBm", precision=2)
    case_temperature = measured(
        lambda device: device.connection.query(codec.case_temperature()), "°C", precision=1
    )
    alarm_status = measured(lambda device: device.connection.query(codec.alarm_status()), "1", precision=0)

    def __init__(
        self,
        address: str,
        *,
        max_output_power_dbm: float = 20.0,
        delimiter: Literal["CR", "LF"] = "CR",
        **kwargs: Any,
    ) -> None:
        self.max_output_power_dbm = max_output_power_dbm
        self._terminator = DELIMITERS[delimiter]
        super().__init__(address, **kwargs)

    def make_framing(self) -> Framing:
        """Commands end as the front panel says; replies may end with CR, LF or both."""
        return AnyLineFraming(terminator=self._terminator)

    def identify(self) -> str:
        """The reply to `*IDN?`."""
        return self.connection.query(codec.IDENTITY)

    def set_control_mode(self, mode: str) -> None:
        """Change between ALC and ACC; the amplifier goes dark with it. Only the worker calls this."""
        self.connection.query(codec.ControlMode.set(mode))
        self.emission.refresh()

    def enter_safe_state(self) -> None:
        """Pumps off."""
        self.connection.query(codec.Emission.set(False))
        self.emission.refresh()
