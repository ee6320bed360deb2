"""OZ Optics ODL-650-MC: motor-driven optical delay line on a serial line, 9600 baud.

Reference: the command list of OZ Optics' ODL-650-MC, as a public driver has it. Assumed: its name contains ODL, homing
ends within 30 s, and a move through the whole line within 60 s.
"""

import math
from collections.abc import Callable

from drivers.delay_line import oz_odl650_codec as codec
from drivers.oz_motor import HOMING_S, OzMotorInstrument
from qdci_lab.errors import AcquisitionError, InstrumentError
from qdci_lab.signals import TaskStatus, controlled, measured
from qdci_lab.units import seconds_to_ps

POLL_S = 0.05
NO_CODE = -1


class OzOdl650(OzMotorInstrument):
    """A delay line, in ps of optical delay from its shortest path.

    After it was switched on it does not know where it is: `homed` is then false, `delay` is not-a-number, and setting
    it is refused with the advice to `home()` it, which moves the line and changes the delay.
    """

    MODEL = "OZ Optics ODL-650-MC"
    IDENTITY_CONTAINS = "ODL"
    MOTION_S = 60.0

    delay = controlled(
        lambda device: device.ask_delay_ps(),
        lambda device, delay_ps: device.move(delay_ps),
        "ps",
        precision=4,
        limits=(0.0, codec.to_delay_ps(codec.MAX_STEPS)),
        resolution=codec.PS_PER_STEP,
        kind="hinted",
    )
    homed = measured(None, "1", precision=0)

    def identify(self) -> str:
        """Its name with its version, and its serial number."""
        return f"{self.ask(codec.model())} {self.ask(codec.serial_number())}"

    def home(self) -> TaskStatus:
        """Find the home sensor; the status is done when the line knows where it is."""
        return self.submit(lambda _status: self._home(), name=f"{self.name}_home")

    def move(self, delay_ps: float) -> None:
        """Move, and wait until the line reports that it has arrived; only the worker calls this.

        InstrumentError when the line has not been homed.
        """
        if self._ask_steps() is None:
            raise InstrumentError(
                NO_CODE, "the position is unknown: home() the delay line first", instrument=self.label
            )
        steps = codec.to_steps(delay_ps)
        self.ask(codec.move_to(steps), within_s=self.MOTION_S)
        self._await_position(lambda position: position == steps, self.MOTION_S)

    def ask_delay_ps(self) -> float:
        """The delay; not-a-number while it is unknown. Only the worker calls this."""
        steps = self._ask_steps()
        return math.nan if steps is None else codec.to_delay_ps(steps)

    def _home(self) -> None:
        self.ask(codec.home(), within_s=HOMING_S)
        if not self._await_position(lambda position: position is not None, HOMING_S):
            raise AcquisitionError(f"{self.label}: not homed after {HOMING_S:g} s")
        self.delay.refresh()

    def _ask_steps(self) -> int | None:
        steps = self.ask(codec.position())
        self.homed.store(steps is not None)
        return steps

    def _await_position(self, is_there: Callable[[int | None], bool], within_s: float) -> bool:
        """Ask for the position until it is right: that a command is done may only mean that it was understood."""
        end_ps = self.clock.now_ps() + seconds_to_ps(within_s)
        while not is_there(self._ask_steps()):
            if self.clock.now_ps() >= end_ps:
                return False
            self.clock.sleep(POLL_S)
        return True
