"""Thorlabs MPC320: three motorised paddles on a serial line, 115200 baud with RTS/CTS.

Reference: Thorlabs, APT Controllers Host-Controller Communications Protocol, issue 25; the public QMI driver for the
scale of the angles. Assumed: a paddle stands within one count (0.12 degrees) of where it is sent, homing begins within
0.5 s and ends within 15 s, a move ends within 15 s.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from drivers.polarization_controller import thorlabs_mpc320_codec as codec
from qdci_lab.device import Instrument
from qdci_lab.errors import AcquisitionError
from qdci_lab.signals import ControlledSignal, TaskStatus, controlled, measured
from qdci_lab.units import ps_to_seconds
from qdci_lab.wire.apt import AptFraming
from qdci_lab.wire.framing import Framing

LIMITS_DEG = (0.0, codec.MAX_ANGLE_DEG)
RESOLUTION_DEG = 3.0 * codec.DEG_PER_COUNT  # a count for rounding, one for either side
POLL_S = 0.05
HOMING_BEGINS_S = 0.5
MOTION_S = 15.0

Arrived = Callable[[codec.PaddleStatus, float], bool]


def _angle(paddle: int) -> Any:
    """The component of one paddle."""
    return controlled(
        lambda device: device.ask_angles()[paddle - 1],
        lambda device, angle_deg: device.move_paddles({paddle: angle_deg}),
        "deg",
        limits=LIMITS_DEG,
        resolution=RESOLUTION_DEG,
    )


class ThorlabsMpc320(Instrument):
    """A polarization controller, moved as a whole, `mv(controller, (10, 90, 45))`, by `angles`, or paddle by paddle.

    When a motion has ended is asked, and not taken from the messages that announce it: those may belong to a motion
    long past. `homed` says of each paddle whether its angle counts from home.
    """

    MODEL = "Thorlabs MPC320"
    IDENTITY_CONTAINS = "MPC320"
    BAUD_RATE = 115200
    RTS_CTS = True

    angles = controlled(
        lambda device: device.ask_angles(),
        lambda device, angles_deg: device.move_paddles(dict(zip(codec.PADDLES, angles_deg, strict=True))),
        "deg",
        limits=LIMITS_DEG,
        resolution=RESOLUTION_DEG,
        kind="omitted",
        check=lambda _device, angles_deg: codec.check_angles(angles_deg),
        element="paddle",
    )
    angle_1 = _angle(1)
    angle_2 = _angle(2)
    angle_3 = _angle(3)
    homed = measured(None, "1", precision=0)
    velocity = controlled(
        lambda device: float(device.connection.query(codec.parameters()).velocity_percent),
        lambda device, percent: device.set_velocity(percent),
        "%",
        precision=0,
        limits=codec.VELOCITY_RANGE_PERCENT,
        resolution=1.0,
        kind="config",
    )

    @property
    def paddles(self) -> tuple[ControlledSignal, ...]:
        """The signals of the three paddles, in order."""
        return (self.angle_1, self.angle_2, self.angle_3)

    @property
    def position(self) -> tuple[float, ...]:
        """The three angles in degrees as last read."""
        return self.angles.last

    @property
    def patience_s(self) -> float:
        """Longer than homing one paddle after the other."""
        return super().patience_s + len(codec.PADDLES) * MOTION_S

    def make_framing(self) -> Framing:
        """Binary messages, each with a header."""
        return AptFraming()

    def identify(self) -> str:
        """Maker, model, serial number and firmware."""
        info = self.connection.query(codec.hardware_info())
        return f"Thorlabs {info.model} {info.serial_number} {info.firmware}"

    def prepare_instrument(self) -> None:
        """No statuses unasked, and all paddles enabled."""
        self.connection.command(codec.stop_updates())
        self.connection.discard()
        self.connection.command(codec.enable_channels(codec.ALL_CHANNELS))

    def check_value(self, angles_deg: Sequence[float]) -> None:
        """LimitError with paddle, value, unit and bound, or LocalProtocolError if there are not three angles."""
        self.angles.check_value(angles_deg)

    def set(self, angles_deg: Sequence[float], *, timeout: float | None = None) -> TaskStatus:
        """Turn the three paddles to angles in degrees; the status is done when they stand there."""
        return self.angles.set(angles_deg, timeout=timeout)

    def home(self, *paddles: int) -> TaskStatus:
        """Find the home of these paddles, or of all; they end at the angle that the controller has for that."""
        chosen = paddles or codec.PADDLES
        commands = {paddle: codec.move_home(paddle) for paddle in chosen}
        return self.submit(lambda _status: self._home(commands), name=f"{self.name}_home")

    def refresh(self) -> None:
        """All paddles in one round, and the settings."""
        self.ask_angles()
        self.velocity.refresh()

    def ask_angles(self) -> tuple[float, ...]:
        """Ask for all paddles and keep what they report, not what came unasked; only the worker calls this."""
        self.connection.discard()
        statuses = [self.connection.query(codec.status(paddle)) for paddle in codec.PADDLES]
        angles_deg = tuple(status.angle_deg for status in statuses)
        self.angles.store(angles_deg)
        self.homed.store(tuple(status.is_homed for status in statuses))
        for signal, angle_deg in zip(self.paddles, angles_deg, strict=True):
            signal.store(angle_deg)
        return angles_deg

    def move_paddles(self, angles_deg: dict[int, float]) -> None:
        """Turn paddles at the same time and wait until all of them have arrived; only the worker calls this."""
        targets = {paddle: codec.to_counts(float(angle)) for paddle, angle in angles_deg.items()}
        self.connection.discard()
        for paddle, counts in targets.items():
            self.connection.command(codec.move_absolute(paddle, counts))
        for paddle, counts in targets.items():
            self._await(paddle, lambda status, _elapsed_s, at=counts: abs(status.counts - at) <= 1)

    def set_velocity(self, percent: float) -> None:
        """Change the velocity and keep the other parameters; only the worker calls this."""
        present = self.connection.query(codec.parameters())
        self.connection.command(codec.set_parameters(replace(present, velocity_percent=round(percent))))

    def _home(self, commands: dict[int, codec.Command]) -> None:
        for paddle, command in commands.items():
            self.connection.discard()
            self.connection.command(command)
            status = self._await(paddle, _HomingWatch())
            if not status.is_homed:
                raise AcquisitionError(f"{self.label}: paddle {paddle} is not homed after {MOTION_S:g} s")
        self.ask_angles()

    def _await(self, paddle: int, arrived: Arrived) -> codec.PaddleStatus:
        """Ask a paddle until it stands still where it should, or the time is over: the last status."""
        began_ps = self.clock.now_ps()
        while True:
            status = self.connection.query(codec.status(paddle))
            elapsed_s = ps_to_seconds(self.clock.now_ps() - began_ps)
            if (arrived(status, elapsed_s) and not status.is_in_motion) or elapsed_s >= MOTION_S:
                return status
            self.clock.sleep(POLL_S)


class _HomingWatch:
    """Tells a homing that is over from one that has not begun, of which the paddle says the same."""

    def __init__(self) -> None:
        self._has_begun = False

    def __call__(self, status: codec.PaddleStatus, elapsed_s: float) -> bool:
        self._has_begun |= status.is_in_motion or elapsed_s >= HOMING_BEGINS_S
        return self._has_begun and status.is_homed
