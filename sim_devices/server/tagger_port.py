"""A time tagger where its library comes for it: plugged in or out, switched off and on, and with faults."""

from dataclasses import dataclass

from qdci_lab.errors import LabError
from sim_devices.faults import RESTARTS, Busy, Fault, FaultSchedule, HungCall, TagOverflow, WrongIdentity
from sim_devices.firmware.qutag import Qutag

READING = "read"


class RequestRefused(LabError):
    """A request that makes no sense at this bench, or not now."""


class DeviceTaken(RequestRefused):
    """Another program has the device."""


@dataclass
class TaggerPort:
    """A time tagger as the control server sees it; `boots` counts how often it was switched on."""

    tagger: Qutag
    connected: bool = True
    boots: int = 1

    def __post_init__(self) -> None:
        self.faults = FaultSchedule(self.tagger.lab_time)

    def switch(self, *, on: bool) -> None:
        """Plug the tagger in or out; without power its input is off."""
        if self.connected and not on:
            self.tagger.switch_input(on=False)
        self.boots += on and not self.connected
        self.connected = on

    def arm(self, fault: Fault) -> None:
        """Put a fault on the tagger; one that takes the power away and is due does it now."""
        self.faults.add(fault)
        if isinstance(fault, RESTARTS) and self.faults.next() is fault:
            self._end_session()

    def meet_fault(self, call: str) -> Fault | None:
        """The fault that a call meets, which may hold it up; RequestRefused (DeviceTaken) where it ends the call."""
        if not self.faults:
            return None
        fault = self.faults.next()
        if fault is None:
            self.faults.let_pass()
            return None
        if isinstance(fault, TagOverflow) and call != READING:
            return None
        is_first = self.faults.spoil(fault)
        if isinstance(fault, HungCall):
            self.faults.hold(fault, fault.delay_s)
        elif not isinstance(fault, TagOverflow):
            self._part_with(fault, is_first)
        return fault

    def _part_with(self, fault: Fault, is_first: bool) -> None:
        if is_first:
            self._end_session()
        if isinstance(fault, Busy):
            raise DeviceTaken("the device is in use by another program")
        if not isinstance(fault, WrongIdentity):
            raise RequestRefused("the device is not connected")

    def _end_session(self) -> None:
        if self.connected:
            self.switch(on=False)
            self.switch(on=True)
