"""Thorlabs MPC320 motorised fibre polarisation controller: three paddles, 0 to 170 degrees each, over APT.

Reference: Thorlabs APT Controllers Host-Controller Communications Protocol (115200 8N1, RTS/CTS). Channels are the bits
1, 2 and 4. That enabling some channels disables the others, and the header-only MOVE_COMPLETED after a jog, are as
public drivers have seen them.

Motions take lab time. Their end (MOVE_HOMED, MOVE_COMPLETED) is announced to the client that asked for the motion,
behind the answer to whatever it sends next once lab time has come that far, never at once: clients drain the line after
a request and would throw an early announcement away, and those that read one message a question find their answer
first. Every public driver polls the status meanwhile; for a client that only listens, `announces_at_once` lets the
motion's lab time pass and announces its end in answer to the request.
A status or position poll during a motion lets 5 ms pass before it answers, the next one 10 ms, and twice as much each
time until the motion is over: drivers that poll a few times a second must come to an end within their time limits.

Assumed: the law of motion (constant speed and 50 ms to settle; homing to the stop and back, and 0.7 s to find it);
everything but position, status and the disabled state of a channel that is not asked for; targets beyond the range end
at it; a disabled paddle ignores motions; paddles are enabled, not homed and at 0 when switched on, with 50 % velocity,
home at 0 and jogs of 10 degrees; a new motion of a paddle replaces the old one and its announcement; a message that is
not known is ignored; automatic updates come with whatever is sent next, at most every 100 ms. When several paddles
move, the light follows each of them until the last one is there.
"""

import struct
import threading
from collections.abc import Callable, Iterator, Mapping

from qdci_lab.units import ps_to_seconds, seconds_to_ps
from sim_devices.firmware.apt_messages import AptFramer, AptMessage, long, short
from sim_devices.firmware.sockets import connect
from sim_devices.firmware.thorlabs_mpc320_paddle import (
    COUNTS,
    COUNTS_PER_DEGREE,
    MAX_SPEED_DEGREES_PER_S,
    MotionKind,
    Paddle,
)
from sim_devices.twin.handle import ComponentHandle

POLL_PS = seconds_to_ps(5e-3)
UPDATE_PS = seconds_to_ps(0.1)
MOTOR_CURRENT_MA = 80
CHANNELS: tuple[int, ...] = (1, 2, 4)
MOVE_HOMED, MOVE_COMPLETED, MOVE_STOPPED, STATUS_UPDATE = 0x0444, 0x0464, 0x0466, 0x0491
_ENABLE, _DISABLE = 1, 2


class ThorlabsMpc320:
    """Socket "paddles". Positions are whole counts of 170/1370 degrees; all sessions share the paddles."""

    MODEL = "Thorlabs MPC320"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        announces_at_once: bool = False,
    ) -> None:
        if not serial_number.isdigit() or int(serial_number) >= 2**32:
            raise ValueError(f"serial_number {serial_number!r} is not a number of up to 32 bits")
        self._light = connect(components, ["paddles"])["paddles"]
        self._lab_time = self._light.lab_time
        self._serial_number = int(serial_number)
        self._announces_at_once = announces_at_once
        self._lock = threading.RLock()
        self._paddles = {channel: Paddle(channel) for channel in CHANNELS}
        self._velocity_percent, self._home = 50, 0
        self._jogs = dict.fromkeys(CHANNELS, round(10 * COUNTS_PER_DEGREE))
        self._turn_light(0)

    def session(self) -> "Mpc320Session":
        """A serial line; announcements go to the line that asked for the motion."""
        return Mpc320Session(self)

    def answer(self, message: AptMessage, session: "Mpc320Session") -> bytes:
        """What is sent after a message has been carried out: the answer, then announcements."""
        with self._lock:
            reply = self._execute(message, session)
            self._announce()
            return reply + session.kept() + b"".join(self._updates(session))

    def _execute(self, message: AptMessage, session: "Mpc320Session") -> bytes:
        actions: Mapping[int, Callable[[], bytes]] = {
            0x0005: self._info,
            0x0011: lambda: session.switch_updates(on=True),
            0x0012: lambda: session.switch_updates(on=False),
            0x0210: lambda: self._enable(message.first, message.second),
            0x0531: self._parameters,
        }
        of_paddle: Mapping[int, Callable[[Paddle], bytes]] = {
            0x0211: lambda one: short(0x0212, one.channel, _ENABLE if one.enabled else _DISABLE),
            0x0411: lambda one: long(0x0412, struct.pack("<Hi", one.channel, self._poll(one))),
            0x0429: self._status_bits,
            0x0443: lambda one: self._go(one, MotionKind.HOME, self._home, session),
            0x0465: self._stop,
            0x046A: lambda one: self._jog(one, message.second, session),
            0x0490: lambda one: self._status(STATUS_UPDATE, one, self._poll(one)),
        }
        if message.code in actions:
            return actions[message.code]()
        if message.code in of_paddle and not message.data and message.first in self._paddles:
            return of_paddle[message.code](self._paddles[message.first])
        if message.code in (0x0448, 0x0453) and len(message.data) == 6:
            return self._move(message, session)
        if message.code == 0x0530 and len(message.data) == 12:
            self._set_parameters(*struct.unpack("<6H", message.data))
        return b""

    def _info(self) -> bytes:
        firmware_revision = bytes((3, 0, 1, 0))
        head = struct.pack("<L8sH4s", self._serial_number, b"MPC320", 44, firmware_revision)
        notes = b"Motorized fiber polarization controller"
        return long(0x0006, head + struct.pack("<60s3H", notes, 1, 0, len(CHANNELS)))

    def _enable(self, channels: int, state: int) -> bytes:
        """Enabling names all channels that shall be on, disabling those that shall be off."""
        for channel, paddle in self._paddles.items():
            if state == _ENABLE:
                paddle.enabled = bool(channels & channel)
            elif state == _DISABLE and channels & channel:
                paddle.enabled = False
            if not paddle.enabled and paddle.is_moving(self._lab_time.now_ps()):
                self._halt(paddle)
        return b""

    def _move(self, message: AptMessage, session: "Mpc320Session") -> bytes:
        channel, counts = struct.unpack("<Hi", message.data)
        paddle = self._paddles.get(channel)
        if paddle is None:
            return b""
        start = paddle.position(self._lab_time.now_ps()) if message.code == 0x0448 else 0
        return self._go(paddle, MotionKind.MOVE, start + counts, session)

    def _jog(self, paddle: Paddle, direction: int, session: "Mpc320Session") -> bytes:
        way = {1: self._jogs[paddle.channel], 2: -self._jogs[paddle.channel]}.get(direction)
        if way is None:
            return b""
        return self._go(paddle, MotionKind.JOG, paddle.position(self._lab_time.now_ps()) + way, session)

    def _go(self, paddle: Paddle, kind: MotionKind, end: int, session: "Mpc320Session") -> bytes:
        if not paddle.enabled:
            return b""
        motion = paddle.go(kind, end, self._velocity_percent, self._lab_time.now_ps(), session.keep)
        self._turn_light(motion.end_ps)
        if self._announces_at_once:
            self._lab_time.advance_to(motion.end_ps)
        return b""

    def _stop(self, paddle: Paddle) -> bytes:
        self._halt(paddle)
        return self._status(MOVE_STOPPED, paddle, paddle.position(self._lab_time.now_ps()))

    def _halt(self, paddle: Paddle) -> None:
        now_ps = self._lab_time.now_ps()
        paddle.stop(now_ps)
        self._turn_light(now_ps)

    def _turn_light(self, at_least_ps: int) -> None:
        """Ramp the paddles of the twin to where they are going, until the last of them is there."""
        now_ps = self._lab_time.now_ps()
        ends_ps = [one.motion.end_ps for one in self._paddles.values() if one.motion is not None]
        over_s = ps_to_seconds(max(0, *ends_ps, at_least_ps, now_ps) - now_ps)
        goals = [one.rest if one.motion is None else one.motion.end for one in self._paddles.values()]
        self._light.apply(over_s=over_s, angles_deg=tuple(goal / COUNTS_PER_DEGREE for goal in goals))

    def _poll(self, paddle: Paddle) -> int:
        """The position in counts, after some lab time if the paddle is moving."""
        now_ps = self._lab_time.now_ps()
        motion = paddle.motion
        if motion is not None and now_ps < motion.end_ps:
            self._lab_time.advance_to(min(motion.end_ps, now_ps + (POLL_PS << motion.polls)))
            motion.polls += 1
        return paddle.position(self._lab_time.now_ps())

    def _status_bits(self, paddle: Paddle) -> bytes:
        self._poll(paddle)
        return long(0x042A, struct.pack("<HL", paddle.channel, paddle.status_bits(self._lab_time.now_ps())))

    def _status(self, code: int, paddle: Paddle, position: int) -> bytes:
        now_ps = self._lab_time.now_ps()
        speed, current_ma = 0, 0
        if paddle.is_moving(now_ps):
            degrees_per_s = self._velocity_percent / 100 * MAX_SPEED_DEGREES_PER_S
            speed, current_ma = round(degrees_per_s * COUNTS_PER_DEGREE), MOTOR_CURRENT_MA
        bits = paddle.status_bits(now_ps)
        return long(code, struct.pack("<HiHhL", paddle.channel, position, speed, current_ma, bits))

    def _announce(self) -> None:
        """Tell those who asked for motions that are over by now."""
        for paddle in self._paddles.values():
            motion = paddle.settle(self._lab_time.now_ps())
            if motion is not None:
                motion.announce(self._announcement(motion.kind, paddle))

    def _announcement(self, kind: MotionKind, paddle: Paddle) -> bytes:
        if kind is MotionKind.HOME:
            return short(MOVE_HOMED, paddle.channel)
        if kind is MotionKind.JOG:
            return short(MOVE_COMPLETED, paddle.channel)
        return self._status(MOVE_COMPLETED, paddle, paddle.rest)

    def _updates(self, session: "Mpc320Session") -> Iterator[bytes]:
        now_ps = self._lab_time.now_ps()
        if session.takes_update(now_ps):
            for paddle in self._paddles.values():
                yield self._status(STATUS_UPDATE, paddle, paddle.position(now_ps))

    def _parameters(self) -> bytes:
        values = (0, self._velocity_percent, self._home, *self._jogs.values())
        return long(0x0532, struct.pack("<6H", *values))

    def _set_parameters(self, unused: int, velocity_percent: int, home: int, *jogs: int) -> None:
        del unused
        self._velocity_percent = min(max(velocity_percent, 10), 100)
        self._home = min(home, COUNTS)
        self._jogs = {channel: min(jog, COUNTS) for channel, jog in zip(CHANNELS, jogs, strict=True)}


class Mpc320Session:
    """One client's line: its input buffer, whether it takes automatic updates, and what it has still to hear."""

    def __init__(self, instrument: ThorlabsMpc320) -> None:
        self._instrument = instrument
        self._framer = AptFramer()
        self._kept = bytearray()
        self._next_update_ps: int | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes in any chunking, carry out every message that is complete, return what is sent."""
        return b"".join(self._instrument.answer(message, self) for message in self._framer.feed(data))

    def keep(self, announcement: bytes) -> None:
        """Add what is to be sent with the next answer."""
        self._kept += announcement

    def kept(self) -> bytes:
        """What was kept, once."""
        kept, self._kept = bytes(self._kept), bytearray()
        return kept

    def switch_updates(self, *, on: bool) -> bytes:
        """Automatic status updates on or off; nothing is answered."""
        self._next_update_ps = 0 if on else None
        return b""

    def takes_update(self, now_ps: int) -> bool:
        """Whether an automatic update is due; the next one is due 100 ms later."""
        if self._next_update_ps is None or now_ps < self._next_update_ps:
            return False
        self._next_update_ps = now_ps + UPDATE_PS
        return True
