"""One attenuator of the N776x family: a filter that moves at a set speed, a shutter, and a power monitor behind them.

Reference: Keysight N77xx Series Programming Guide, chapter 4, "The INPut subtree" and "The OUTput subtree".
"""

from dataclasses import dataclass

from qdci_lab.units import ps_to_seconds, seconds_to_ps, watt_to_dbm
from sim_devices.firmware.keysight_n77xx_values import stat_limits
from sim_devices.firmware.scpi_values import PowerUnit
from sim_devices.twin.handle import ComponentHandle

MAXIMUM_DB = 45.0
RESOLUTION_DB = 0.001  # assumed: the guide names no resolution
FLOOR_W = 1e-12  # assumed: below -90 dBm the monitor shows its floor
ZEROING_S = 5.0  # assumed
SPEED_DB_PER_S = stat_limits(
    0.1, 1000.0, 1000.0
)  # range from the guide's note on full speed; default assumed
OFFSET_DB = stat_limits(-200.0, 200.0, 0.0)
WAVELENGTH_M = stat_limits(1260e-9, 1640e-9, 1550e-9)  # range from the data sheet; default assumed
AVERAGING_S = stat_limits(2e-3, 10.0, 0.1)  # range from the data sheet; default assumed


@dataclass(frozen=True)
class AttenuatorState:
    """What one attenuator remembers; the attenuation shown is that of the filter plus the offset."""

    filter_db: float = 0.0
    offset_db: float = 0.0
    speed_db_per_s: float = SPEED_DB_PER_S.default
    wavelength_m: float = WAVELENGTH_M.default
    shutter_open: bool = False
    open_at_power_on: bool = False
    power_offset_db: float = 0.0
    power_unit: PowerUnit = PowerUnit.DBM
    set_power_dbm: float | None = None
    """Output power that was asked for last, None since an attenuation was asked for."""
    averaging_s: float = AVERAGING_S.default


@dataclass(frozen=True)
class Movement:
    """Where the filter is: it moves linearly in dB and then stays."""

    start_db: float = 0.0
    target_db: float = 0.0
    start_ps: int = 0
    end_ps: int = 0

    def at(self, now_ps: int) -> float:
        """Attenuation of the filter at a lab time."""
        if now_ps >= self.end_ps:
            return self.target_db
        share = (now_ps - self.start_ps) / (self.end_ps - self.start_ps)
        return self.start_db + share * (self.target_db - self.start_db)


class Attenuator:
    """The hardware of one attenuator: makes its component follow the state."""

    def __init__(self, handle: ComponentHandle, state: AttenuatorState) -> None:
        self._handle = handle
        self._state = state
        self._movement = Movement(target_db=state.filter_db)
        self._zeroed_ps = 0
        self.excessive = False
        """The power that was asked for last cannot be reached (questionable status bit 0)."""
        handle.apply(attenuation_db=state.filter_db, shutter_open=state.shutter_open)

    @property
    def busy_until_ps(self) -> int:
        """Lab time at which filter and zeroing have come to their ends."""
        return max(self._movement.end_ps, self._zeroed_ps)

    @property
    def zeroing(self) -> bool:
        """Whether the monitor's zero is being measured."""
        return self._handle.lab_time.now_ps() < self._zeroed_ps

    def bring(self, state: AttenuatorState) -> None:
        """Take a state: move the filter, open or close the shutter if they differ from the present ones."""
        before, self._state = self._state, state
        if state.shutter_open and not before.shutter_open:
            self._handle.apply(attenuation_db=MAXIMUM_DB)
            self._handle.apply(shutter_open=True)
            self._movement = Movement(target_db=MAXIMUM_DB)
            self._move(state.filter_db)
        elif before.shutter_open and not state.shutter_open:
            self._handle.apply(shutter_open=False)
            self._move(state.filter_db)
        elif state.filter_db != self._movement.target_db:
            self._move(state.filter_db)

    def filter_for(self, monitor_dbm: float) -> float:
        """Filter attenuation at which the monitor would read a power, within what the filter can do.

        Judged from the present reading, so the shutter must be open. Sets `excessive`.
        """
        present_dbm = self.monitor_dbm()
        wanted_db = self._movement.at(self._handle.lab_time.now_ps()) + present_dbm - monitor_dbm
        reachable_db = min(max(wanted_db, 0.0), MAXIMUM_DB)
        self.excessive = abs(reachable_db - wanted_db) > RESOLUTION_DB
        return rounded_db(reachable_db)

    def monitor_w(self, average_s: float = 0.0) -> float:
        """Power behind the filter, averaged over no more than the lab time that has passed."""
        past_s = ps_to_seconds(self._handle.lab_time.now_ps())
        return max(self._handle.sense("output_power_w", average_s=min(average_s, past_s)), FLOOR_W)

    def monitor_dbm(self) -> float:
        """Power behind the filter at this instant."""
        return watt_to_dbm(self.monitor_w())

    def zero(self) -> None:
        """Close the shutter for as long as zeroing takes."""
        now_ps = self._handle.lab_time.now_ps()
        self._zeroed_ps = now_ps + seconds_to_ps(ZEROING_S)
        if self._state.shutter_open:
            self._handle.apply(shutter_open=False)
            self._handle.apply(shutter_open=True, after_s=ZEROING_S)

    def _move(self, target_db: float) -> None:
        now_ps = self._handle.lab_time.now_ps()
        start_db = self._movement.at(now_ps)
        span_s = abs(target_db - start_db) / self._state.speed_db_per_s if self._state.shutter_open else 0.0
        self._movement = Movement(start_db, target_db, now_ps, now_ps + seconds_to_ps(span_s))
        self._handle.apply(attenuation_db=target_db, over_s=span_s)


def rounded_db(attenuation_db: float) -> float:
    """The filter setting next to an attenuation."""
    return round(round(attenuation_db / RESOLUTION_DB) * RESOLUTION_DB, 6)
