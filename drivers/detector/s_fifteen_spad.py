"""S-Fifteen InGaAs single-photon detector on a serial port (S-Fifteen Instruments' public pyS15 driver)."""

from typing import Any

from drivers.detector import s_fifteen_spad_codec as codec
from qdci_lab.device import Instrument
from qdci_lab.signals import controlled, measured
from qdci_lab.wire.framing import Framing, LineFraming

MAX_INTEGRATION_TIME_S = 10.0


def _setting(entry: codec.Setting, units: str, **kwargs: Any) -> Any:
    """The component of a number that is set without a reply and then read back."""
    return controlled(
        lambda device: device.connection.query(entry.get()),
        lambda device, value: device.connection.command(entry.set(value)),
        units,
        **kwargs,
    )


class SFifteenSpad(Instrument):
    """The controller of a gated detector array; one controller before the whole array is assumed.

    A count costs one integration time, so that the device's own trigger leaves it out, unless `count_on_trigger` is
    true: trigger or `get()` the signal `count_rate` itself. The bounds and steps of the settings are not published
    and assumed. Setting the target temperature does not wait for the diode to reach it. Light off is the others'
    task: there is no safe state to enter.
    """

    MODEL = "S-Fifteen SPD"
    IDENTITY_CONTAINS = "SPD"

    bias_voltage = _setting(codec.BIAS_VOLTAGE_V, "V", precision=2, limits=(0.0, 250.0), resolution=0.1)
    threshold_voltage = _setting(
        codec.THRESHOLD_VOLTAGE_V, "V", limits=(-5.0, 5.0), resolution=0.01, kind="config"
    )
    temperature = measured(
        lambda device: device.connection.query(codec.temperature()), "°C", precision=2, kind="hinted"
    )
    target_temperature = _setting(
        codec.TARGET_TEMPERATURE_C, "°C", precision=2, limits=(-100.0, 40.0), resolution=0.1, kind="config"
    )
    integration_time = _setting(
        codec.INTEGRATION_TIME_S, "s", limits=(0.001, MAX_INTEGRATION_TIME_S), resolution=0.001, kind="config"
    )
    count_rate = measured(lambda device: device.count(), "Hz", precision=0, kind="omitted", polled=False)

    def __init__(self, address: str, *, count_on_trigger: bool = False, **kwargs: Any) -> None:
        super().__init__(address, **kwargs)
        if count_on_trigger:
            self.count_rate.polled = True
            self.count_rate.kind = "hinted"

    def make_framing(self) -> Framing:
        """Lines, as most USB-serial instruments have them."""
        return LineFraming(terminator=b"\r\n", skip_empty=True)

    def identify(self) -> str:
        """The reply to `*idn?`."""
        return self.connection.query(codec.IDENTITY)

    def count(self) -> float:
        """Clicks a second over one integration time; blocks so long, and only the worker calls this."""
        integration_s = self.connection.query(codec.INTEGRATION_TIME_S.get())
        clicks = self.connection.query(codec.counts(), timeout_s=integration_s + self.timeout_s)
        return clicks / integration_s
