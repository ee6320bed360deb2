"""One paddle of a Thorlabs MPC320: where it is at any instant of lab time, and its motion."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from qdci_lab.units import seconds_to_ps

DEGREES, COUNTS = 170, 1370
COUNTS_PER_DEGREE = COUNTS / DEGREES
MAX_SPEED_DEGREES_PER_S = 400.0
HOME_SEARCH_S = 0.7
SETTLE_S = 0.05

FORWARD, REVERSE, JOGGING_FORWARD, JOGGING_REVERSE = 0x10, 0x20, 0x40, 0x80
CONNECTED, HOMING, HOMED = 0x100, 0x200, 0x400
POWER_OK, ACTIVE, ENABLED = 0x1000_0000, 0x2000_0000, 0x8000_0000

Announce = Callable[[bytes], None]


class MotionKind(Enum):
    """What set the paddle in motion, which decides how its end is announced."""

    MOVE = "move"
    JOG = "jog"
    HOME = "home"


@dataclass
class Motion:
    """A way at constant speed between two instants of lab time.

    `announce` takes the message about its end; `polls` counts how often somebody asked meanwhile.
    """

    kind: MotionKind
    start: int
    end: int
    begin_ps: int
    end_ps: int
    announce: Announce
    polls: int = 0

    def position(self, now_ps: int) -> int:
        """Counts at `now_ps`."""
        if now_ps >= self.end_ps:
            return self.end
        share = (now_ps - self.begin_ps) / (self.end_ps - self.begin_ps)
        return self.start + round(share * (self.end - self.start))


@dataclass
class Paddle:
    """Position in counts of 170/1370 degrees, whether the motor is on and knows its home, and the present motion."""

    channel: int
    rest: int = 0
    enabled: bool = True
    homed: bool = False
    motion: Motion | None = field(default=None, repr=False)

    def position(self, now_ps: int) -> int:
        """Counts at `now_ps`."""
        return self.rest if self.motion is None else self.motion.position(now_ps)

    def is_moving(self, now_ps: int) -> bool:
        """Whether a motion is under way at `now_ps`."""
        return self.motion is not None and now_ps < self.motion.end_ps

    def go(
        self, kind: MotionKind, end: int, velocity_percent: int, now_ps: int, announce: Announce
    ) -> Motion:
        """Set out for `end`, which is held to the paddle's range; an earlier motion is given up unannounced."""
        self.settle(now_ps)
        start, end = self.position(now_ps), min(max(end, 0), COUNTS)
        way = start + end if kind is MotionKind.HOME else abs(end - start)
        speed_counts_per_s = velocity_percent / 100 * MAX_SPEED_DEGREES_PER_S * COUNTS_PER_DEGREE
        over_s = way / speed_counts_per_s + (HOME_SEARCH_S if kind is MotionKind.HOME else SETTLE_S)
        self.homed = self.homed and kind is not MotionKind.HOME
        self.motion = Motion(kind, start, end, now_ps, now_ps + seconds_to_ps(over_s), announce)
        return self.motion

    def settle(self, now_ps: int) -> Motion | None:
        """The motion that is over by now, once; None if there is none."""
        motion = self.motion
        if motion is None or now_ps < motion.end_ps:
            return None
        self.rest, self.motion = motion.end, None
        self.homed = self.homed or motion.kind is MotionKind.HOME
        return motion

    def stop(self, now_ps: int) -> None:
        """Stand still where it is; the motion is given up unannounced."""
        self.settle(now_ps)
        self.rest, self.motion = self.position(now_ps), None

    def status_bits(self, now_ps: int) -> int:
        """The status bits of the APT protocol."""
        bits = CONNECTED | POWER_OK | (ENABLED if self.enabled else 0)
        motion = self.motion
        if motion is None or now_ps >= motion.end_ps:
            arrived_home = motion is not None and motion.kind is MotionKind.HOME
            return bits | (HOMED if self.homed or arrived_home else 0)
        forward = motion.end > motion.start
        if motion.kind is MotionKind.JOG:
            bits |= JOGGING_FORWARD if forward else JOGGING_REVERSE
        else:
            bits |= FORWARD if forward else REVERSE
        return (
            bits | ACTIVE | (HOMED if self.homed else 0) | (HOMING if motion.kind is MotionKind.HOME else 0)
        )
