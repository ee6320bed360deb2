"""Thorlabs PM100D: optical power meter with an exchangeable sensor.

Reference: Thorlabs PM100x SCPI programmer's reference, as public drivers use it. The range of wavelengths, which is
the sensor's, is asked of the instrument. Assumed: 1 to 10 000 averages of 0.3 ms each, and steps of 0.1 nm.

The sensor is read in W, because noise around zero has no dBm. Such a reading is minus infinity dBm here.
"""

from typing import TypeVar

from drivers.power_meter.thorlabs_pm100d_codec import (
    ABSOLUTE_WATTS,
    CLEAR_STATUS,
    HIGHEST,
    LOWEST,
    READING,
    SENSOR,
    Averages,
    Wavelength,
    power_dbm,
)
from qdci_lab.device import Instrument
from qdci_lab.signals import Bounds, controlled, measured
from qdci_lab.wire.message import Query

T = TypeVar("T")

SECONDS_PER_AVERAGE = 3e-4
SLOWEST_READINGS = 10


class ThorlabsPm100d(Instrument):
    """One sensor. Each reading is a measurement of its own that begins when it is asked for."""

    MODEL = "Thorlabs PM100D"
    IDENTITY_CONTAINS = "PM100D"

    power = measured(lambda device: device.measure_dbm(), "dBm", kind="hinted")
    wavelength = controlled(
        lambda device: device.ask(Wavelength.get()),
        lambda device, value: device.connection.checked(Wavelength.set(value)),
        "nm",
        precision=1,
        limits=lambda device: device.wavelength_range_nm,
        resolution=0.1,
        kind="config",
    )
    averages = controlled(
        lambda device: device.ask(Averages.get()),
        lambda device, value: device.connection.checked(Averages.set(value)),
        "1",
        precision=0,
        limits=(1.0, 10_000.0),
        resolution=1,
        kind="config",
        check=lambda _device, value: Averages.set(value),
    )
    sensor = measured(lambda device: device.ask(SENSOR), None, kind="config", polled=False)

    wavelength_range_nm: Bounds | None = None

    @property
    def reading_s(self) -> float:
        """How long a reading may take, also when the range changes on the way."""
        return self.timeout_s + SLOWEST_READINGS * SECONDS_PER_AVERAGE * (self.averages.last or 1)

    @property
    def patience_s(self) -> float:
        """Longer than any reading."""
        return super().patience_s + self.reading_s

    def prepare_instrument(self) -> None:
        """Clear errors, read in W in the range that fits, and ask what the sensor is."""
        self.connection.command(CLEAR_STATUS)
        for command in ABSOLUTE_WATTS:
            self.connection.checked(command)
        self.sensor.refresh()
        self.averages.refresh()
        self.wavelength_range_nm = self.ask(Wavelength.get(LOWEST)), self.ask(Wavelength.get(HIGHEST))

    def ask(self, query: Query[T], *, timeout_s: float | None = None) -> T:
        """The instrument's answer; InstrumentError if it refuses the query. Only the worker calls this."""
        return self.connection.checked_query(query, timeout_s=timeout_s)

    def measure_dbm(self) -> float:
        """The power at the sensor, averaged from now on; only the worker calls this."""
        return power_dbm(self.ask(READING, timeout_s=self.reading_s))
