"""Keysight N7744A: optical power meter with four ports.

Reference: Keysight N77xx Series Programming Guide, N7744-90C01, edition 7, chapter Measurement Functions. The range of
wavelengths is asked of the instrument. Assumed: averaging times from 1 us to 10 s in steps of 1 us (the model's data
sheet; the guide gives no range), and steps of 0.001 nm.

The sensor is read in W, because the instrument cannot express a negative reading, which is noise around zero, in dBm
(error -261). Such a reading is minus infinity dBm here; a reading that the instrument calls invalid is not-a-number.
Each port is a device of its own.
"""

from collections.abc import Mapping
from typing import Any

from drivers.keysight_n77xx import SlotInstrument
from drivers.keysight_n77xx_codec import (
    HIGHEST,
    LOWEST,
    AveragingTime,
    MeterSetup,
    PowerReading,
    SensorWavelength,
    power_dbm,
)
from qdci_lab.signals import Bounds, controlled, measured


class KeysightN7744A(SlotInstrument):
    """One port. Each reading is a measurement of its own that begins when it is asked for."""

    MODEL = "Keysight N7744A"
    IDENTITY_CONTAINS = "N7744A"
    SLOTS = 4

    power = measured(lambda device: device.measure_dbm(), "dBm", kind="hinted")
    wavelength = controlled(
        lambda device: device.ask(SensorWavelength.get),
        lambda device, value: device.connection.checked(SensorWavelength.set(device.slot, value)),
        "nm",
        limits=lambda device: device.wavelength_range_nm,
        resolution=0.001,
        kind="config",
    )
    averaging_time = controlled(
        lambda device: device.ask(AveragingTime.get),
        lambda device, value: device.connection.checked(AveragingTime.set(device.slot, value)),
        "s",
        precision=6,
        limits=(1e-6, 10.0),
        resolution=1e-6,
        kind="config",
    )

    wavelength_range_nm: Bounds | None = None

    @property
    def reading_s(self) -> float:
        """How long a reading may take: the averaging time, repeated when the range changes."""
        return self.timeout_s + 3.0 * (self.averaging_time.last or 0.0)

    @property
    def patience_s(self) -> float:
        """Longer than any reading."""
        return super().patience_s + self.reading_s

    def expected_s(self, planned: Mapping[str, Any]) -> float:
        """What `trigger` takes: one averaging time."""
        return float(planned.get(self.averaging_time.name, self.averaging_time.last or 0.0))

    def prepare_instrument(self) -> None:
        """Clear errors and have each READ answered with a new absolute measurement in W."""
        super().prepare_instrument()
        for command in MeterSetup.commands(self.slot):
            self.connection.checked(command)
        self.averaging_time.refresh()
        self.wavelength_range_nm = (
            self.ask(lambda slot: SensorWavelength.get(slot, LOWEST)),
            self.ask(lambda slot: SensorWavelength.get(slot, HIGHEST)),
        )

    def measure_dbm(self) -> float:
        """The power at the port, averaged over the averaging time that begins now; only the worker calls this."""
        return power_dbm(self.ask(PowerReading.get, timeout_s=self.reading_s))
