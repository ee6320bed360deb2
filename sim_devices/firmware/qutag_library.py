"""The quTAG library's life: initialising, finding and losing the device, and fetching its events.

Reference: qutools tdcbase.h and tdcmultidev.h. Unlike on the real device the counters rest while the input
is disabled: what nobody reads is not computed. Assumed: a library that has lost its device reports so on
every call, also after a vain attempt to initialise, until the device is back and has been initialised.
"""

import contextlib
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from qdci_lab.errors import TransportError
from sim_devices.firmware.qutag_codes import ReturnCode, TdcRefusal
from sim_devices.firmware.qutag_device import TdcDevice
from sim_devices.firmware.qutag_profile import GENERATIONS, Generation
from sim_devices.firmware.qutag_stream import Channels, Times

_FIRST_SLICE_PS = 10**10
_LONGEST_SLICE_PS = 10**15
_TAGS_PER_SLICE = 1 << 20
_BUSY_POLL_PS = 5 * 10**9


@dataclass(frozen=True)
class FoundDevice:
    """What can be known of a device before connecting to it."""

    serial_number: str
    device_id: int
    features: int | None = None


class DeviceLocked(TransportError):
    """Another program has the device."""


class TagLine(Protocol):
    """The way to the device on the bench, in place of its USB cable. Methods raise TransportError when it is gone."""

    overflowed: bool
    """Whether the device lost events before the last read."""

    def find(self) -> FoundDevice:
        """Look for the device."""
        ...

    def connect(self) -> int:
        """Begin a session, which ends for good when the device is switched off; returns lab time in ps."""
        ...

    def check(self) -> None:
        """Make sure that the session still lasts."""
        ...

    def switch_input(self, *, on: bool) -> int:
        """Let events in or not; returns lab time in ps."""
        ...

    def read(self, until_ps: int) -> tuple[int, Times, Channels]:
        """Lab time, and the events since the last read before `until_ps`; they hold until the next read."""
        ...

    def wait(self, by_ps: int) -> int:
        """Let lab time pass; returns it in ps."""
        ...

    def close(self) -> None:
        """Leave the device alone."""
        ...


class _State(Enum):
    OFF = "not initialised"
    IDLE = "initialised, no device connected"
    DEMO = "initialised without a device"
    READY = "connected"
    LOST = "was connected"


class TdcLibrary:
    """The library with its one device. Methods raise TdcRefusal; callers hold `lock` around each call."""

    def __init__(self, line: TagLine, generation: Generation = GENERATIONS[1]) -> None:
        self.lock = threading.RLock()
        self.generation = generation
        self._line = line
        self._state = _State.OFF
        self._found: FoundDevice | None = None
        self._device = self._demo_device()
        self._input_on = False
        self._read_to_ps = 0
        self._slice_ps = _FIRST_SLICE_PS

    def init(self, device_id: int) -> None:
        """Connect to the device with this number, -1 for any; without one the library works in demo mode."""
        was_lost = self._state is _State.LOST
        self._leave(_State.OFF)
        try:
            self._found = self._line.find()
            if device_id not in (-1, self._found.device_id):
                raise TransportError(f"no quTAG with device number {device_id}")
            self._connect()
        except TransportError as error:
            self._state = _State.LOST if was_lost else _State.DEMO
            raise TdcRefusal(_refusal_code(error)) from error

    def deinit(self) -> None:
        """Disconnect and forget; never fails."""
        self._leave(_State.OFF)
        self._found = None

    def discover(self) -> int:
        """Number of devices on the bench; closes connections."""
        self._leave(_State.IDLE)
        try:
            self._found = self._line.find()
        except TransportError:
            self._found = None
        return 0 if self._found is None else 1

    def device_info(self, number: int) -> tuple[int, int, str, bool]:
        """Type, device number, serial number and whether connected, of a device that was found."""
        found = self._numbered(number)
        return self.generation.device_type, found.device_id, found.serial_number, self._state is _State.READY

    def connect(self, number: int) -> None:
        """Connect to a device that was found."""
        self._numbered(number)
        self._leave(_State.IDLE)
        try:
            self._connect()
        except TransportError as error:
            raise TdcRefusal(ReturnCode.NOT_CONNECTED) from error

    def disconnect(self, number: int) -> None:
        """Close the connection to a device."""
        self.address_device(number)
        self._leave(_State.IDLE)

    def address_device(self, number: int) -> None:
        """Direct the following calls to a connected device; there is only number 0."""
        self._numbered(number)
        self.device()

    def current_address(self) -> int:
        """Number of the device that calls go to."""
        self.device()
        if self._state is _State.DEMO:
            raise TdcRefusal(ReturnCode.NOT_CONNECTED)
        return 0

    def device_type(self) -> int:
        """TDC_DevType: none unless a device is connected."""
        kinds = self.generation
        return kinds.device_type if self._state is _State.READY else kinds.no_device_type

    def features(self) -> int:
        """Feature flags of the device connected; without one, those of the file read last."""
        return int(self._device.features) if self._state is _State.READY else self._device.demo_features

    def device(self) -> TdcDevice:
        """The device, for calls that only look at its settings."""
        if self._state is _State.OFF:
            raise TdcRefusal(ReturnCode.NOT_INITIALIZED)
        if self._state in (_State.IDLE, _State.LOST):
            raise TdcRefusal(ReturnCode.NOT_CONNECTED)
        if self._state is _State.READY:
            try:
                self._line.check()
            except TransportError as error:
                raise self._lose() from error
        return self._device

    def settled_device(self) -> TdcDevice:
        """The device with all events up to now, for calls that change settings or hand out data."""
        if self._state is not _State.READY:
            return self.device()
        try:
            self._fetch()
        except TransportError as error:
            raise self._lose() from error
        return self._device

    def enable_input(self, on: int) -> None:
        """Let events of the device in from now on, or no more."""
        self.settled_device()
        if self._state is _State.READY and self._input_on != (on != 0):
            try:
                self._read_to_ps = self._line.switch_input(on=on != 0)
            except TransportError as error:
                raise self._lose() from error
        self._input_on = on != 0

    def calibrating(self) -> bool:
        """Whether the device is calibrating; a device that is asked so lets a little time pass, or none would."""
        active = self.settled_device().calibration_state()
        if active and self._state is _State.READY:
            try:
                self._line.wait(_BUSY_POLL_PS)
            except TransportError as error:
                raise self._lose() from error
        return active

    def _connect(self) -> None:
        self._line.connect()
        self._read_to_ps = self._line.switch_input(on=True)
        features = None if self._found is None else self._found.features
        self._device = TdcDevice(self._read_to_ps, self.generation, features)
        self._input_on = True
        self._slice_ps = _FIRST_SLICE_PS
        self._state = _State.READY

    def _leave(self, state: _State) -> None:
        if self._state is _State.READY:
            with contextlib.suppress(TdcRefusal):  # gone already, which is where we are going
                self.enable_input(0)
        self._device.close_file()
        self._line.close()
        self._device = self._demo_device()
        self._state = state

    def _demo_device(self) -> TdcDevice:
        return TdcDevice(0, self.generation, demo=True)

    def _lose(self) -> TdcRefusal:
        self._line.close()
        self._device.close_file()
        self._state = _State.LOST
        return TdcRefusal(ReturnCode.NOT_CONNECTED)

    def _numbered(self, number: int) -> FoundDevice:
        if self._state is _State.OFF:
            raise TdcRefusal(ReturnCode.NOT_INITIALIZED)
        if self._found is None or number != 0:
            raise TdcRefusal(ReturnCode.NO_DEVICE)
        return self._found

    def _fetch(self) -> None:
        """Read up to the present in slices of about a million events, however long nobody has read."""
        goal_ps: int | None = None
        while goal_ps is None or self._read_to_ps < goal_ps:
            until_ps = self._read_to_ps + min(self._slice_ps, self._selftest_slice_ps())
            now_ps, times, channels = self._line.read(until_ps)
            goal_ps = now_ps if goal_ps is None else goal_ps
            seen = times.size if self._input_on else 0
            if self._line.overflowed:
                self._device.lose_events()
            self._device.arrive(times[:seen], channels[:seen], min(until_ps, now_ps), live=self._input_on)
            self._read_to_ps = min(until_ps, now_ps)
            if times.size > 2 * _TAGS_PER_SLICE:
                self._slice_ps = max(1, self._slice_ps * _TAGS_PER_SLICE // times.size)
            elif until_ps <= now_ps and times.size < _TAGS_PER_SLICE // 4:
                self._slice_ps = min(4 * self._slice_ps, _LONGEST_SLICE_PS)

    def _selftest_slice_ps(self) -> int:
        rate_hz = self._device.selftest_rate_hz
        return int(_TAGS_PER_SLICE * 1e12 / rate_hz) if rate_hz > 0.0 else _LONGEST_SLICE_PS


def _refusal_code(error: TransportError) -> ReturnCode:
    return ReturnCode.DEVICE_LOCKED if isinstance(error, DeviceLocked) else ReturnCode.NOT_CONNECTED
