"""Messages of the Thorlabs MPC320 motorised polarization controller (APT protocol, issue 25; public QMI driver).

Reference: Thorlabs, APT Controllers Host-Controller Communications Protocol, issue 25. Channels are a bit mask, 1, 2
and 4 for the paddles 1, 2 and 3. 1370 counts of the encoder are 170 degrees. Most commands have no reply; an instrument
also speaks unasked, when a motion has ended and, once it was asked to, ten times a second. Assumed, as in other APT
controllers: the status bits of moving, homing and homed, and the parameters of a jog and a stop.
"""

import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.apt import AptMessage
from qdci_lab.wire.message import Command, Query, Report

T = TypeVar("T")

PADDLES = (1, 2, 3)
ALL_CHANNELS = 0b111
MAX_ANGLE_DEG, MAX_COUNTS = 170.0, 1370
DEG_PER_COUNT = MAX_ANGLE_DEG / MAX_COUNTS
VELOCITY_RANGE_PERCENT = (10.0, 100.0)
FULL_VELOCITY_DEG_PER_S = 400.0

MOVING_BITS, HOMING_BIT, HOMED_BIT = 0x000000F0, 0x00000200, 0x00000400
ON, OFF = 1, 2

_INFO = struct.Struct("<L8sHL60sHHH")
_STATUS = struct.Struct("<HlHhL")
_POSITION = struct.Struct("<Hl")
_BITS = struct.Struct("<HL")
_POL_PARAMS = struct.Struct("<6H")


@dataclass(frozen=True)
class HardwareInfo:
    """What the controller calls itself."""

    serial_number: int
    model: str
    firmware: str
    channels: int


@dataclass(frozen=True)
class PaddleStatus:
    """One paddle now; velocity and motor current (mA) are the controller's own numbers."""

    paddle: int
    counts: int
    velocity: int
    current_ma: int
    bits: int

    @property
    def angle_deg(self) -> float:
        """Its angle."""
        return to_degrees(self.counts)

    @property
    def is_in_motion(self) -> bool:
        """Whether it moves, jogs or looks for its home."""
        return bool(self.bits & (MOVING_BITS | HOMING_BIT))

    @property
    def is_homed(self) -> bool:
        """Whether its angle counts from home."""
        return bool(self.bits & HOMED_BIT)


@dataclass(frozen=True)
class PolarizationParameters:
    """Velocity in percent of 400 degrees a second, the angle that homing ends at, and the steps of a jog, in counts."""

    velocity_percent: int
    home_counts: int
    jog_counts: tuple[int, int, int]


def to_counts(angle_deg: float) -> int:
    """The count nearest to an angle; LocalProtocolError beyond 0 to 170 degrees."""
    if not 0.0 <= angle_deg <= MAX_ANGLE_DEG:
        raise LocalProtocolError(f"an angle of {angle_deg:g} deg: must be 0 to {MAX_ANGLE_DEG:g} deg")
    return round(angle_deg / DEG_PER_COUNT)


def to_degrees(counts: int) -> float:
    """The angle of an encoder's position."""
    return counts * DEG_PER_COUNT


def check_angles(angles_deg: Sequence[float]) -> None:
    """LocalProtocolError unless there is an angle for each paddle."""
    if not isinstance(angles_deg, Collection) or len(angles_deg) != len(PADDLES):
        raise LocalProtocolError(
            f"an angle in degrees for each of {len(PADDLES)} paddles is wanted, not {angles_deg!r}"
        )
    for angle_deg in angles_deg:
        to_counts(float(angle_deg))


def hardware_info() -> Query[HardwareInfo]:
    """HW_REQ_INFO, HW_GET_INFO."""
    return _ask(AptMessage(0x0005), 0x0006, _hardware_info)


def start_updates() -> Command:
    """HW_START_UPDATEMSGS: statuses ten times a second, unasked, as long as they are acknowledged."""
    return _tell(AptMessage(0x0011))


def stop_updates() -> Command:
    """HW_STOP_UPDATEMSGS."""
    return _tell(AptMessage(0x0012))


def acknowledge_update() -> Command:
    """MOT_ACK_USTATUSUPDATE: without one a second the controller stops its unasked statuses."""
    return _tell(AptMessage(0x0492))


def enable_channels(mask: int) -> Command:
    """MOD_SET_CHANENABLESTATE: enable the channels in the mask; those that are not in it are disabled."""
    if not 0 <= mask <= ALL_CHANNELS:
        raise LocalProtocolError(f"a mask of channels is 0 to {ALL_CHANNELS}, not {mask}")
    return _tell(AptMessage(0x0210, mask, ON))


def channel_enabled(paddle: int) -> Query[bool]:
    """MOD_REQ_CHANENABLESTATE, MOD_GET_CHANENABLESTATE."""
    channel = _channel(paddle)
    return _ask(AptMessage(0x0211, channel), 0x0212, _enabled, lambda message: message.param_1 == channel)


def flash() -> Command:
    """MOD_IDENTIFY: let the front panel's LED flash."""
    return _tell(AptMessage(0x0223, 1))


def position_counter(paddle: int) -> Query[int]:
    """MOT_REQ_POSCOUNTER, MOT_GET_POSCOUNTER: counts."""
    request = AptMessage(0x0411, _channel(paddle))
    return _ask(request, 0x0412, lambda message: _unpack(_POSITION, message)[1], _is_of(paddle))


def status_bits(paddle: int) -> Query[int]:
    """MOT_REQ_STATUSBITS, MOT_GET_STATUSBITS."""
    request = AptMessage(0x0429, _channel(paddle))
    return _ask(request, 0x042A, lambda message: _unpack(_BITS, message)[1], _is_of(paddle))


def status(paddle: int) -> Query[PaddleStatus]:
    """MOT_REQ_USTATUSUPDATE, MOT_GET_USTATUSUPDATE."""
    return _ask(AptMessage(0x0490, _channel(paddle)), 0x0491, _paddle_status, _is_of(paddle))


def move_home(paddle: int) -> Command:
    """MOT_MOVE_HOME."""
    return _tell(AptMessage(0x0443, _channel(paddle)))


def move_absolute(paddle: int, counts: int) -> Command:
    """MOT_MOVE_ABSOLUTE, with the position in the message."""
    if not 0 <= counts <= MAX_COUNTS:
        raise LocalProtocolError(f"a position of {counts} counts: must be 0 to {MAX_COUNTS}")
    return _tell(AptMessage(0x0453, data=_POSITION.pack(_channel(paddle), counts)))


def move_relative(paddle: int, counts: int) -> Command:
    """MOT_MOVE_RELATIVE, with the distance in the message."""
    if not -MAX_COUNTS <= counts <= MAX_COUNTS:
        raise LocalProtocolError(f"a distance of {counts} counts: must be within +-{MAX_COUNTS}")
    return _tell(AptMessage(0x0448, data=_POSITION.pack(_channel(paddle), counts)))


def jog(paddle: int, *, forward: bool) -> Command:
    """MOT_MOVE_JOG by the paddle's jog step."""
    return _tell(AptMessage(0x046A, _channel(paddle), ON if forward else OFF))


def stop(paddle: int) -> Command:
    """MOT_MOVE_STOP, at the usual deceleration."""
    return _tell(AptMessage(0x0465, _channel(paddle), 2))


def parameters() -> Query[PolarizationParameters]:
    """POL_REQ_PARAMS, POL_GET_PARAMS."""
    return _ask(AptMessage(0x0531), 0x0532, _parameters)


def set_parameters(values: PolarizationParameters) -> Command:
    """POL_SET_PARAMS; LocalProtocolError for a velocity or an angle that there is not."""
    low, high = VELOCITY_RANGE_PERCENT
    if not low <= values.velocity_percent <= high:
        raise LocalProtocolError(f"a velocity of {values.velocity_percent} %: must be {low:g} to {high:g} %")
    if not all(0 <= counts <= MAX_COUNTS for counts in (values.home_counts, *values.jog_counts)):
        raise LocalProtocolError(f"{values}: counts must be 0 to {MAX_COUNTS}")
    data = _POL_PARAMS.pack(0, values.velocity_percent, values.home_counts, *values.jog_counts)
    return _tell(AptMessage(0x0530, data=data))


def motion_ended() -> Report[int | None]:
    """MOT_MOVE_HOMED, MOT_MOVE_COMPLETED or MOT_MOVE_STOPPED, short or with a status: whose motion; None for others.

    It may be the end of a motion long past.
    """
    return Report(_ended_paddle)


def _tell(message: AptMessage) -> Command:
    return Command(message.to_bytes())


def _ask(
    request: AptMessage,
    answer: int,
    parse: Callable[[AptMessage], T],
    is_meant: Callable[[AptMessage], bool] | None = None,
) -> Query[T]:
    """A query that waits for the message of one number, and of one channel where that matters."""

    def answers(reply: bytes) -> bool:
        message = AptMessage.from_bytes(reply)
        return message.number == answer and (is_meant is None or is_meant(message))

    return Query(request.to_bytes(), lambda reply: parse(AptMessage.from_bytes(reply)), answers)


def _channel(paddle: int) -> int:
    if paddle not in PADDLES:
        raise LocalProtocolError(f"there is no paddle {paddle}: the paddles are 1 to 3")
    return 1 << (paddle - 1)


def _paddle(channel: int) -> int:
    if channel not in (1, 2, 4):
        raise RemoteProtocolError(f"channel {channel} is none of 1, 2 and 4")
    return channel.bit_length()


def _is_of(paddle: int) -> Callable[[AptMessage], bool]:
    """Whether the data begin with the paddle's channel."""
    channel = _channel(paddle)
    return lambda message: message.data[:2] == channel.to_bytes(2, "little")


def _unpack(layout: struct.Struct, message: AptMessage) -> tuple:
    if len(message.data) != layout.size:
        raise RemoteProtocolError(
            f"message {message.number:#06x} has {len(message.data)} bytes of data instead of {layout.size}"
        )
    return layout.unpack(message.data)


def _hardware_info(message: AptMessage) -> HardwareInfo:
    serial_number, model, _type, firmware, _notes, _hardware, _modification, channels = _unpack(
        _INFO, message
    )
    version = ".".join(str(firmware >> shift & 0xFF) for shift in (16, 8, 0))
    name = model.split(b"\x00")[0].decode("ascii", "replace").strip()
    return HardwareInfo(serial_number, name, version, channels)


def _paddle_status(message: AptMessage) -> PaddleStatus:
    channel, counts, velocity, current_ma, bits = _unpack(_STATUS, message)
    return PaddleStatus(_paddle(channel), counts, velocity, current_ma, bits)


def _parameters(message: AptMessage) -> PolarizationParameters:
    _unused, velocity, home, *jog_steps = _unpack(_POL_PARAMS, message)
    return PolarizationParameters(velocity, home, (jog_steps[0], jog_steps[1], jog_steps[2]))


def _enabled(message: AptMessage) -> bool:
    if message.param_2 not in (ON, OFF):
        raise RemoteProtocolError(f"neither enabled (1) nor disabled (2): {message.param_2}")
    return message.param_2 == ON


def _ended_paddle(reply: bytes) -> int | None:
    message = AptMessage.from_bytes(reply)
    if message.number not in (0x0444, 0x0464, 0x0466):
        return None
    return _paddle(int.from_bytes(message.data[:2], "little") if message.data else message.param_1)
