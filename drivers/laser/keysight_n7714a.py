"""Keysight N7714A: four tunable lasers.

Reference: Keysight N77xx Series Programming Guide, N7744-90C01, edition 7, chapter Signal Generation. The ranges of
wavelength and power, which depend on the laser that is built in, are asked of the instrument. Assumed: steps of
0.001 nm (100 MHz are 0.8 pm) and 0.01 dB, that tuning and switching end within 30 s, and that auto mode can be entered
while the laser is on.

Each laser is a device of its own.
"""

from collections.abc import Callable

from drivers.keysight_n77xx import SlotInstrument
from drivers.keysight_n77xx_codec import (
    HIGHEST,
    LOWEST,
    LaserAutoMode,
    LaserFrequency,
    LaserPower,
    LaserWavelength,
    Output,
)
from qdci_lab.signals import Bounds, controlled, measured, switched
from qdci_lab.wire.message import Query

SETTLING_S = 30.0


class KeysightN7714A(SlotInstrument):
    """One laser. A change ends when the instrument has settled."""

    MODEL = "Keysight N7714A"
    IDENTITY_CONTAINS = "N7714A"
    SLOTS = 4

    wavelength = controlled(
        lambda device: device.ask(LaserWavelength.get),
        lambda device, value: device.tune(value),
        "nm",
        precision=4,
        limits=lambda device: device.wavelength_range_nm,
        resolution=0.001,
    )
    frequency = measured(lambda device: device.ask(LaserFrequency.get), "THz", precision=5, kind="config")
    power = controlled(
        lambda device: device.ask(LaserPower.get),
        lambda device, value: device.obey(LaserPower.set(device.slot, value), within_s=SETTLING_S),
        "dBm",
        precision=2,
        limits=lambda device: device.power_range_dbm,
        resolution=0.01,
    )
    emission = switched(
        lambda device: device.ask(Output.get),
        lambda device, value: device.obey(Output.set(device.slot, value), within_s=SETTLING_S),
    )

    wavelength_range_nm: Bounds | None = None
    power_range_dbm: Bounds | None = None

    @property
    def patience_s(self) -> float:
        """Longer than the laser takes to settle."""
        return super().patience_s + 2.0 * SETTLING_S

    def prepare_instrument(self) -> None:
        """Clear errors, let powers be in dBm, and ask what the laser can do; its light stays as it is."""
        super().prepare_instrument()
        self.connection.checked(LaserPower.set_unit_dbm(self.slot))
        self.wavelength_range_nm = self._range(LaserWavelength.get)
        self.power_range_dbm = self._range(LaserPower.get)

    def tune(self, wavelength_nm: float) -> None:
        """Set the wavelength, in auto mode, and wait until the laser has settled; only the worker calls this."""
        if not self.ask(LaserAutoMode.get):
            self.connection.checked(LaserAutoMode.set(self.slot, 1))
        self.obey(LaserWavelength.set(self.slot, wavelength_nm), within_s=SETTLING_S)
        self.frequency.refresh()

    def enter_safe_state(self) -> None:
        """Emission off."""
        self.connection.checked(Output.set(self.slot, 0))
        self.emission.refresh()

    def _range(self, get: Callable[[int, str], Query[float]]) -> Bounds:
        return self.ask(lambda slot: get(slot, LOWEST)), self.ask(lambda slot: get(slot, HIGHEST))
