"""Keysight N7764A: four variable optical attenuators with shutters and power monitors.

Reference: Keysight N77xx Series Programming Guide, N7744-90C01, edition 7, chapter Signal Conditioning. The model's
ranges are 0 to 45 dB and 1260 to 1640 nm. Assumed: steps of 0.001 dB, 0.001 nm and 0.01 dB/s, and that the shutter,
which opens at the set speed, opens through the whole range of the filter.

Each attenuator is a device of its own. It occupies two slots, 2k-1 and 2k, and answers on both.
"""

from drivers.keysight_n77xx import SlotInstrument
from drivers.keysight_n77xx_codec import (
    HIGHEST,
    LOWEST,
    Attenuation,
    AttenuationOffset,
    AttenuationSpeed,
    AttenuatorWavelength,
    MonitorUnit,
    Output,
    PowerControl,
    PowerReading,
    power_dbm,
)
from drivers.voa.attenuator import Settings
from qdci_lab.signals import Bounds, controlled, measured, switched

FILTER_RANGE_DB = (0.0, 45.0)


class KeysightN7764A(SlotInstrument):
    """One attenuator. A move of the filter or the shutter ends when the instrument has completed it."""

    MODEL = "Keysight N7764A"
    IDENTITY_CONTAINS = "N7764A"
    SLOTS = 8

    attenuation = controlled(
        lambda device: device.ask(Attenuation.get),
        lambda device, value: device.move_filter(value),
        "dB",
        limits=lambda device: device.attenuation_range_db,
        resolution=0.001,
        kind="hinted",
    )
    shutter_open = switched(
        lambda device: device.ask(Output.get), lambda device, value: device.move_shutter(value)
    )
    output_power = measured(lambda device: device.measure_output_dbm(), "dBm")
    wavelength = controlled(
        lambda device: device.ask(AttenuatorWavelength.get),
        lambda device, value: device.obey(AttenuatorWavelength.set(device.slot, value)),
        "nm",
        limits=(1260.0, 1640.0),
        resolution=0.001,
        kind="config",
    )
    attenuation_speed = controlled(
        lambda device: device.ask(AttenuationSpeed.get),
        lambda device, value: device.obey(AttenuationSpeed.set(device.slot, value)),
        "dB/s",
        precision=2,
        limits=lambda device: device.speed_range_db_per_s,
        resolution=0.01,
        kind="config",
    )
    attenuation_offset = controlled(
        lambda device: device.ask(AttenuationOffset.get),
        lambda device, value: device.shift_attenuation(value),
        "dB",
        limits=(-200.0, 200.0),
        resolution=0.001,
        kind="config",
    )

    speed_range_db_per_s: Bounds | None = None

    @property
    def attenuation_range_db(self) -> Bounds:
        """What `attenuation` may be set to: the filter's range, shifted by the offset."""
        offset_db = self.attenuation_offset.last or 0.0
        return FILTER_RANGE_DB[0] + offset_db, FILTER_RANGE_DB[1] + offset_db

    @property
    def motion_s(self) -> float:
        """How long the filter takes through its whole range at the speed that is set."""
        speed_db_per_s = self.attenuation_speed.last
        return (FILTER_RANGE_DB[1] - FILTER_RANGE_DB[0]) / speed_db_per_s if speed_db_per_s else 0.0

    @property
    def patience_s(self) -> float:
        """Longer than any motion at the speed that is set."""
        return super().patience_s + 2.0 * self.motion_s

    def prepare_instrument(self) -> None:
        """Clear errors, let the monitor speak in W, and stop the filter from following the input power by itself."""
        super().prepare_instrument()
        self.connection.checked(MonitorUnit.set_watt(self.slot))
        self.connection.checked(PowerControl.set(self.slot, 0))
        self.speed_range_db_per_s = (
            self.ask(lambda slot: AttenuationSpeed.get(slot, LOWEST)),
            self.ask(lambda slot: AttenuationSpeed.get(slot, HIGHEST)),
        )

    def passing(self) -> Settings:
        """The shutter open."""
        return ((self.shutter_open, 1),)

    def blocking(self) -> Settings:
        """The shutter closed; the filter stays."""
        return ((self.shutter_open, 0),)

    def move_filter(self, attenuation_db: float) -> None:
        """Set the attenuation and wait for the filter; only the worker calls this."""
        self.obey(Attenuation.set(self.slot, attenuation_db), within_s=self.motion_s + self.timeout_s)

    def move_shutter(self, state: int) -> None:
        """Open (1) or close (0) the shutter and wait for it; only the worker calls this."""
        self.obey(Output.set(self.slot, state), within_s=self.motion_s + self.timeout_s)

    def shift_attenuation(self, offset_db: float) -> None:
        """Set the offset: the filter stays, so that the attenuation reads differently; only the worker calls this."""
        self.obey(AttenuationOffset.set(self.slot, offset_db))
        self.attenuation.refresh()

    def measure_output_dbm(self) -> float:
        """The monitor's latest average; minus infinity in the dark, where noise makes the reading zero or negative.

        The monitor measures continuously, so that the value may be older than the last move by its averaging time.
        """
        return power_dbm(self.ask(PowerReading.get))

    def enter_safe_state(self) -> None:
        """Shutter closed, at the filter's full speed."""
        self.connection.checked(Output.set(self.slot, 0))
        self.shutter_open.refresh()
