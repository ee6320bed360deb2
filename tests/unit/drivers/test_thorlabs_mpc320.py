"""ThorlabsMpc320 against its transcript and against paddles that take their time and speak unasked."""

import struct
from typing import Any

import bluesky.plan_stubs as bps
import numpy as np
import pytest
from bluesky import RunEngine
from hypothesis import given
from hypothesis import strategies as st
from ophyd.utils import LimitError

from drivers.polarization_controller import thorlabs_mpc320_codec as codec
from drivers.polarization_controller.thorlabs_mpc320 import ThorlabsMpc320
from qdci_lab.errors import AcquisitionError, LocalProtocolError, RemoteProtocolError, TransportTimeout
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.scripted import ScriptedTransport
from qdci_lab.wire.apt import HOST, AptFraming, AptMessage

WAIT_S = 5.0
COUNTS_PER_POLL = 300
INFO = struct.Struct("<L8sHL60sHHH")


class Paddle:
    """Moves a little each time it is asked; homing begins `lag` polls after it was asked for."""

    def __init__(self) -> None:
        self.counts = self.target = 200
        self.homed = False
        self.polls: list[str] = []
        self.stuck = False

    def home(self, lag: int) -> None:
        self.polls = ["idle"] * lag + ["homing"] * 3 + ["homed"]

    @property
    def bits(self) -> int:
        moving = 0x10 if self.target != self.counts else 0
        homing = 0x200 if self.polls[:1] == ["homing"] else 0
        return moving | homing | (0x400 if self.homed else 0) | 0x80000000

    def step(self) -> bool:
        """One poll; whether a motion has just ended."""
        if self.stuck:
            return False
        if self.polls:
            stage = self.polls.pop(0)
            if self.polls[:1] == ["homing"]:
                self.homed = False
            if stage == "homed":
                self.counts = self.target = 0
                self.homed = True
            return stage == "homed"
        away = self.target - self.counts
        self.counts += max(-COUNTS_PER_POLL, min(COUNTS_PER_POLL, away))
        return away != 0 and self.counts == self.target


class Controller:
    """Three paddles; `unasked` is said before the next answer, `chatty` adds statuses to every answer."""

    def __init__(self) -> None:
        self.paddles = {1: Paddle(), 2: Paddle(), 4: Paddle()}
        self.model = b"MPC320"
        self.parameters = struct.pack("<6H", 0, 50, 0, 80, 81, 82)
        self.enabled = 0
        self.lag = 0
        self.chatty = False
        self.unasked = b""
        self.heard: list[AptMessage] = []

    def answer(self, data: bytes) -> bytes:
        message = AptMessage.from_bytes(data)
        self.heard.append(message)
        assert (message.destination, message.source) == (0x50, HOST)
        said, self.unasked = self.unasked, b""
        if self.chatty:
            said += self.status(4) + self.status(1)
        return said + self.obey(message)

    def obey(self, message: AptMessage) -> bytes:
        channel = message.param_1
        match message.number:
            case 0x0005:
                data = INFO.pack(38012345, self.model, 44, 0x010203, b"notes", 1, 0, 3)
                return reply(0x0006, data=data)
            case 0x0210:
                self.enabled = channel
            case 0x0211:
                return reply(0x0212, channel, 1 if self.enabled & channel else 2)
            case 0x0443:
                self.paddles[channel].home(self.lag)
            case 0x0453:
                moved, counts = struct.unpack("<Hl", message.data)
                if not self.paddles[moved].stuck:
                    self.paddles[moved].target = counts
            case 0x0490:
                ended = self.paddles[channel].step()
                return (self.ended(channel) if ended else b"") + self.status(channel)
            case 0x0530:
                self.parameters = message.data
            case 0x0531:
                return reply(0x0532, data=self.parameters)
            case 0x0012 | 0x0011:
                return b""
            case number:
                raise AssertionError(f"{number:#06x}")
        return b""

    def status(self, channel: int) -> bytes:
        paddle = self.paddles[channel]
        return reply(0x0491, data=struct.pack("<HlHhL", channel, paddle.counts, 0, -3, paddle.bits))

    def ended(self, channel: int) -> bytes:
        return reply(0x0444, channel)

    def sent(self, number: int) -> list[AptMessage]:
        return [message for message in self.heard if message.number == number]


def reply(number: int, *parameters: int, data: bytes = b"") -> bytes:
    return AptMessage(number, *parameters, data=data, destination=HOST, source=0x50).to_bytes()


@pytest.fixture
def hardware() -> Controller:
    return Controller()


@pytest.fixture
def controller(connected: Any, hardware: Controller) -> Any:
    return connected(ThorlabsMpc320, MemoryTransport(hardware.answer, chunk=5))


def test_it_speaks_as_the_transcript_does(transcript: Any):
    stop, enable, enabled, set_parameters, parameters, info = transcript("thorlabs_mpc320")
    exchanges = [stop, enable, enabled, parameters, set_parameters, parameters, info]
    transport = ScriptedTransport(exchanges, terminator=b"", reply_end=b"", chunk=1)
    transport.open()
    controller = ThorlabsMpc320("scripted", name="pc", label="bob.pc", transport=transport)
    controller.prepare_instrument()
    assert controller.connection.query(codec.channel_enabled(3)) is True
    controller.velocity.set(50.0).wait(WAIT_S)
    assert controller.identify() == "Thorlabs MPC320 38012345 1.2.3"
    assert transport.exhausted


def test_connecting_enables_all_paddles_and_ends_unasked_statuses(controller: Any, hardware: Controller):
    assert hardware.enabled == 7
    assert len(hardware.sent(0x0012)) == 1
    assert controller.position == (pytest.approx(200 * 170 / 1370),) * 3
    assert controller.homed.last == (False, False, False)
    assert controller.velocity.last == 50.0


def test_moving_the_whole_waits_for_every_paddle(controller: Any, hardware: Controller, clock: Any):
    RunEngine({})(bps.mv(controller, (10.0, 170.0, 0.0)))
    assert [paddle.counts for paddle in hardware.paddles.values()] == [81, 1370, 0]
    assert controller.position == pytest.approx((10.0, 170.0, 0.0), abs=0.07)
    assert clock.now_ps() > 0
    numbers = [message.number for message in hardware.heard]
    first = numbers.index(0x0453)
    assert numbers[first : first + 3] == [0x0453] * 3


def test_moving_one_paddle_leaves_the_others(controller: Any, hardware: Controller):
    controller.angle_2.set(90.0).wait(WAIT_S)
    assert [paddle.counts for paddle in hardware.paddles.values()] == [200, 725, 200]
    assert controller.angle_2.last == pytest.approx(90.0, abs=0.07)
    assert controller.angles.last[1] == controller.angle_2.last


def test_a_paddle_that_is_stuck_fails_the_move_in_finite_time(
    controller: Any, hardware: Controller, clock: Any
):
    hardware.paddles[2].stuck = True
    with pytest.raises(AcquisitionError, match="dev_angle_2: set to"):
        controller.angle_2.set(90.0).wait(WAIT_S)
    assert 15e12 <= clock.now_ps() < 16e12


def test_a_paddle_may_stand_a_count_beside(controller: Any, hardware: Controller):
    class Slack(Paddle):
        def step(self) -> bool:
            ended = super().step()
            self.counts = self.target = self.target + (1 if ended else 0)
            return ended

    hardware.paddles[1] = Slack()
    controller.angle_1.set(30.0).wait(WAIT_S)
    assert hardware.paddles[1].counts == codec.to_counts(30.0) + 1


def test_homing_one_paddle(controller: Any, hardware: Controller):
    controller.home(3).wait(WAIT_S)
    assert controller.homed.last == (False, False, True)
    assert controller.angle_3.last == 0.0
    assert [message.param_1 for message in hardware.sent(0x0443)] == [4]


def test_homing_all_paddles(controller: Any, hardware: Controller):
    controller.home().wait(WAIT_S)
    assert controller.homed.last == (True, True, True)
    assert controller.position == (0.0, 0.0, 0.0)
    assert [message.param_1 for message in hardware.sent(0x0443)] == [1, 2, 4]


@pytest.mark.parametrize("lag", [0, 1, 6])
def test_the_end_of_an_old_homing_is_not_taken_for_the_new_ones(
    controller: Any, hardware: Controller, clock: Any, lag: int
):
    controller.home(1).wait(WAIT_S)
    controller.angle_1.set(120.0).wait(WAIT_S)
    hardware.lag = lag
    hardware.unasked = hardware.ended(1) + hardware.ended(1)
    before_ps = clock.now_ps()
    controller.home(1).wait(WAIT_S)
    assert hardware.paddles[1].counts == 0
    assert controller.angle_1.last == 0.0
    assert clock.now_ps() - before_ps >= (lag + 2) * 50_000_000_000


def test_a_homing_that_is_over_at_once_is_believed_after_a_while(
    controller: Any, hardware: Controller, clock: Any
):
    class Instant(Paddle):
        def home(self, lag: int) -> None:
            self.counts = self.target = lag
            self.homed = True

    hardware.paddles[1] = Instant()
    controller.home(1).wait(WAIT_S)
    assert controller.homed.last[0] is True
    assert clock.now_ps() == 500_000_000_000


def test_homing_that_does_not_end_is_given_up(controller: Any, hardware: Controller):
    hardware.paddles[4].stuck = True
    with pytest.raises(AcquisitionError, match=r"lab\.dev: paddle 3 is not homed after 15 s"):
        controller.home(3).wait(WAIT_S)


def test_what_comes_unasked_changes_nothing(controller: Any, hardware: Controller):
    hardware.chatty = True
    controller.angles.set((20.0, 40.0, 60.0)).wait(WAIT_S)
    assert controller.position == pytest.approx((20.0, 40.0, 60.0), abs=0.07)
    assert controller.identity.get() == "Thorlabs MPC320 38012345 1.2.3"
    controller.velocity.set(75.0).wait(WAIT_S)


def test_the_velocity_keeps_the_other_parameters(controller: Any, hardware: Controller):
    controller.velocity.set(75.0).wait(WAIT_S)
    assert struct.unpack("<6H", hardware.parameters) == (0, 75, 0, 80, 81, 82)
    with pytest.raises(LimitError, match="dev_velocity: 9 % is below the bound of 10 %"):
        controller.velocity.set(9.0)


def test_limits_name_the_paddle(controller: Any, hardware: Controller):
    heard = len(hardware.heard)
    with pytest.raises(LimitError, match="dev_angles, paddle 2: 171 deg is above the bound of 170 deg"):
        controller.set((0.0, 171.0, 0.0))
    with pytest.raises(LimitError, match="dev_angle_1: nan"):
        controller.angle_1.set(float("nan"))
    wrong_values: Any = ((0, 0), (0, 0, 0, 0), 1.0)
    for wrong in wrong_values:
        with pytest.raises(LocalProtocolError, match="3 paddles"):
            controller.check_value(wrong)
    controller.check_value(np.array([0.0, 85.0, 170.0]))
    assert len(hardware.heard) == heard


def test_reading_does_no_io_and_gives_units(controller: Any, hardware: Controller):
    heard = len(hardware.heard)
    keys = controller.describe()
    assert {name: key["units"] for name, key in keys.items()} == {
        "dev_angle_1": "deg", "dev_angle_2": "deg", "dev_angle_3": "deg", "dev_homed": "1",
    }  # fmt: skip
    assert keys.keys() == controller.read().keys()
    assert len(hardware.heard) == heard


def test_another_instrument_is_not_taken_for_it(connected: Any, hardware: Controller):
    hardware.model = b"KDC101\x00\x00"
    with pytest.raises(RemoteProtocolError, match=r"expected a Thorlabs MPC320.*KDC101"):
        connected(ThorlabsMpc320, MemoryTransport(hardware.answer))


def test_silence_is_a_timeout(connected: Any):
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        connected(ThorlabsMpc320, MemoryTransport(lambda _data: b""))


@given(st.floats(0.0, 170.0))
def test_an_angle_is_met_within_half_a_count(angle_deg: float):
    assert abs(codec.to_degrees(codec.to_counts(angle_deg)) - angle_deg) <= 0.5001 * codec.DEG_PER_COUNT


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (codec.start_updates(), "11 00 00 00 50 01"),
        (codec.stop_updates(), "12 00 00 00 50 01"),
        (codec.acknowledge_update(), "92 04 00 00 50 01"),
        (codec.flash(), "23 02 01 00 50 01"),
        (codec.enable_channels(5), "10 02 05 01 50 01"),
        (codec.move_home(3), "43 04 04 00 50 01"),
        (codec.move_absolute(2, 1370), "53 04 06 00 d0 01 02 00 5a 05 00 00"),
        (codec.move_relative(1, -16), "48 04 06 00 d0 01 01 00 f0 ff ff ff"),
        (codec.jog(1, forward=True), "6a 04 01 01 50 01"),
        (codec.jog(2, forward=False), "6a 04 02 02 50 01"),
        (codec.stop(3), "65 04 04 02 50 01"),
    ],
)
def test_commands_are_those_of_the_protocol(command: codec.Command, message: str):
    assert command.message == bytes.fromhex(message)
    assert AptFraming().encode(command.message) == command.message


def test_answers_are_picked_by_number_and_channel():
    query = codec.position_counter(2)
    wanted = reply(0x0412, data=struct.pack("<Hl", 2, -7))
    assert query.answers is not None
    assert query.answers(wanted)
    assert query.parse(wanted) == -7
    for other in (
        reply(0x0412, data=struct.pack("<Hl", 1, -7)),
        reply(0x0444, 2),
        reply(0x042A, data=b"\x02\x00"),
    ):
        assert not query.answers(other)
    bits = reply(0x042A, data=struct.pack("<HL", 4, 0x80000400))
    assert codec.status_bits(3).parse(bits) == 0x80000400
    disabled = codec.channel_enabled(1)
    assert disabled.parse(reply(0x0212, 1, 2)) is False


def test_the_end_of_a_motion_is_understood_in_its_short_and_long_form():
    parse = codec.motion_ended().parse
    assert parse(reply(0x0444, 4)) == 3
    assert parse(reply(0x0464, 2)) == 2
    assert parse(reply(0x0464, data=struct.pack("<HlHhL", 1, 5, 0, 0, 0))) == 1
    assert parse(reply(0x0466, data=struct.pack("<HlHhL", 2, 5, 0, 0, 0))) == 2
    assert parse(reply(0x0491, data=struct.pack("<HlHhL", 2, 5, 0, 0, 0))) is None


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (codec.status(1), reply(0x0491, data=b"\x01\x00")),
        (codec.status(1), reply(0x0491, data=struct.pack("<HlHhL", 3, 5, 0, 0, 0))),
        (codec.parameters(), reply(0x0532, data=b"\x00" * 11)),
        (codec.hardware_info(), reply(0x0006, data=b"\x00" * 83)),
        (codec.channel_enabled(1), reply(0x0212, 1, 3)),
    ],
)
def test_data_of_another_kind_are_the_instruments_mistake(query: codec.Query[Any], answer: bytes):
    with pytest.raises(RemoteProtocolError):
        query.parse(answer)


@pytest.mark.parametrize(
    "build",
    [
        lambda: codec.move_home(0),
        lambda: codec.status(4),
        lambda: codec.move_absolute(1, 1371),
        lambda: codec.move_relative(1, -1371),
        lambda: codec.enable_channels(8),
        lambda: codec.to_counts(-0.1),
        lambda: codec.to_counts(float("nan")),
        lambda: codec.set_parameters(codec.PolarizationParameters(101, 0, (1, 1, 1))),
        lambda: codec.set_parameters(codec.PolarizationParameters(50, -1, (1, 1, 1))),
    ],
)
def test_codec_refuses_what_the_controller_does_not_have(build: Any):
    with pytest.raises(LocalProtocolError):
        build()
