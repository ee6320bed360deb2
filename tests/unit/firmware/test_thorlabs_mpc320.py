import itertools
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.units import ps_to_seconds, seconds_to_ps
from sim_devices.firmware.thorlabs_mpc320 import ThorlabsMpc320

HOME_1, POLL_1, JOG_1 = "4304 01 00 50 01", "9004 01 00 50 01", "6A04 01 01 50 01"
ACTIVE, HOMING, HOMED, ENABLED = 1 << 29, 1 << 9, 1 << 10, 1 << 31


def to(code: int, first: int = 0, second: int = 0) -> bytes:
    return struct.pack("<HBBBB", code, first, second, 0x50, 0x01)


def with_data(code: int, layout: str, *values: int) -> bytes:
    data = struct.pack(layout, *values)
    return struct.pack("<HHBB", code, len(data), 0xD0, 0x01) + data


def move(channel: int, counts: int) -> bytes:
    return with_data(0x0453, "<Hi", channel, counts)


def messages(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Code and what follows: both parameters, or the data."""
    while received:
        code, first, second, destination, source = struct.unpack_from("<HBBBB", received)
        assert (destination & 0x7F, source) == (0x01, 0x50)
        length = first | second << 8 if destination & 0x80 else 0
        yield code, received[6 : 6 + length] if length else received[2:4]
        received = received[6 + length :]


def status(line, channel: int = 1) -> tuple[int, int, int, int]:
    """Position, velocity, current and status bits from the first message that a poll brings."""
    code, data = next(messages(line.feed(to(0x0490, channel))))
    assert code == 0x0491
    one, position, velocity, current, bits = struct.unpack("<HiHhL", data)
    assert one == channel
    return position, velocity, current, bits


def poll_until_still(line, channel: int = 1, polls: int = 40) -> list[tuple[int, bytes]]:
    """Everything that is said until a poll finds the paddle at rest."""
    heard: list[tuple[int, bytes]] = []
    for _ in range(polls):
        answer, *announcements = messages(line.feed(to(0x0490, channel)))
        heard += [answer, *announcements]
        if not struct.unpack("<HiHhL", answer[1])[4] & ACTIVE:
            return heard
    raise AssertionError("still moving")


@pytest.fixture
def line(held):
    return ThorlabsMpc320({"paddles": held}, serial_number="38123456").session()


def test_who_it_is(line):
    reply = line.feed(bytes.fromhex("0500 00 00 50 01"))
    assert reply[:6] == bytes.fromhex("0600 5400 81 50")
    serial, model, kind = struct.unpack_from("<L8sH", reply, 6)
    assert (serial, model, kind) == (38123456, b"MPC320\0\0", 44)
    assert len(reply) == 90
    assert struct.unpack_from("<3H", reply, 84) == (1, 0, 3)


SCRIPT = (
    to(0x0005)
    + to(0x0011)
    + to(0x0012)
    + to(0x0223, 1)
    + move(2, 500)
    + to(0x0490, 1)
    + to(0x0429, 2)
    + b"\x0d\x0agarbage\x00"
    + to(0x0443, 4)
    + to(0x0490, 4) * 12
    + with_data(0x0530, "<6H", 0, 100, 137, 1, 2, 3)
    + to(0x0531)
    + with_data(0x0448, "<Hi", 2, -100)
    + to(0x0411, 2) * 12
    + to(0x0465, 1, 1)
    + to(0x0492)
    + to(0x7FFF)
)


@given(st.lists(st.integers(0, len(SCRIPT)), max_size=10))
def test_a_conversation_in_any_chunking(cuts):
    edges = [0, *sorted(cuts), len(SCRIPT)]
    whole = ThorlabsMpc320({}, serial_number="1").session().feed(SCRIPT)
    line = ThorlabsMpc320({}, serial_number="1").session()
    assert b"".join(line.feed(SCRIPT[a:b]) for a, b in itertools.pairwise(edges)) == whole
    codes = [code for code, _ in messages(whole)]
    assert (codes[0], codes[-1]) == (0x0006, 0x0466)
    assert (codes.count(0x0464), codes.count(0x0444)) == (2, 1)


def test_homing_takes_a_good_part_of_a_second_and_is_not_announced_at_once(line, held):
    assert line.feed(bytes.fromhex(HOME_1)) == b""
    assert held.lab_time.now_ps() == 0
    assert status(line)[3] & (ACTIVE | HOMING | HOMED) == ACTIVE | HOMING
    heard = poll_until_still(line)
    assert [code for code, _ in heard[-2:]] == [0x0491, 0x0444]
    assert heard[-1][1][0] == 1
    assert status(line)[3] & (ACTIVE | HOMING | HOMED) == HOMED
    assert 0.5 < ps_to_seconds(held.lab_time.now_ps()) < 3.0


def test_an_announcement_comes_with_whatever_is_said_next(line, held):
    line.feed(bytes.fromhex(HOME_1))
    held.lab_time.advance_by(seconds_to_ps(10.0))
    assert [code for code, _ in messages(line.feed(to(0x0005)))] == [0x0006, 0x0444]
    assert [code for code, _ in messages(line.feed(to(0x0005)))] == [0x0006]


def test_a_late_announcement_is_not_taken_for_that_of_the_next_homing(line, held):
    line.feed(bytes.fromhex(HOME_1))
    held.lab_time.advance_by(seconds_to_ps(10.0))
    assert line.feed(bytes.fromhex(HOME_1)) == b""
    assert [code for code, _ in messages(line.feed(bytes.fromhex(POLL_1)))] == [0x0491]


def test_homing_after_an_unheard_homing_leaves_it_homed(line, held):
    line.feed(bytes.fromhex(HOME_1))
    held.lab_time.advance_by(seconds_to_ps(10.0))
    line.feed(move(1, 100))
    assert status(line)[3] & (ACTIVE | HOMED) == ACTIVE | HOMED


def test_a_move_at_the_set_speed(line, held):
    line.feed(with_data(0x0530, "<6H", 0, 100, 0, 0, 0, 0))
    assert line.feed(move(1, 1370)) == b""
    held.lab_time.advance_by(seconds_to_ps(0.2))
    position, velocity, current, bits = status(line)
    assert 0 < position < 1370
    assert (velocity, current, bits & ACTIVE) == (3224, 80, ACTIVE)
    heard = poll_until_still(line)
    code, data = heard[-1]
    assert (code, struct.unpack("<HiHhL", data)[:4]) == (0x0464, (1, 1370, 0, 0))
    assert held.lab_time.now_ps() == seconds_to_ps(170 / 400 + 0.05)
    assert held.setting("angles_deg") == (170.0, 0.0, 0.0)


def test_the_light_turns_on_the_way(line, held):
    line.feed(move(2, 685))
    held.lab_time.advance_by(seconds_to_ps((85 / 200 + 0.05) / 2))
    assert held.setting("angles_deg")[1] == pytest.approx(85 / 2, abs=3.0)


def test_polls_of_a_motion_let_more_and_more_time_pass(line, held):
    line.feed(bytes.fromhex(HOME_1))
    times_ps = []
    for _ in range(4):
        status(line)
        times_ps.append(held.lab_time.now_ps())
    assert times_ps == [seconds_to_ps(at_s) for at_s in (0.005, 0.015, 0.035, 0.075)]
    poll_until_still(line, polls=10)


def test_no_poll_passes_the_end_of_a_motion_and_none_at_rest_costs_time(line, held):
    line.feed(bytes.fromhex(HOME_1))
    poll_until_still(line)
    assert held.lab_time.now_ps() == seconds_to_ps(0.7)
    for code in (0x0490, 0x0429, 0x0411, 0x0211):
        line.feed(to(code, 1))
    assert held.lab_time.now_ps() == seconds_to_ps(0.7)


@pytest.mark.parametrize("code", [0x0490, 0x0429, 0x0411])
def test_every_kind_of_poll_makes_progress(line, held, code):
    line.feed(move(1, 1000))
    line.feed(to(code, 1))
    assert held.lab_time.now_ps() == seconds_to_ps(0.005)


def test_a_jog_is_announced_without_data(line, held):
    line.feed(bytes.fromhex(JOG_1))
    heard = poll_until_still(line)
    assert heard[-1] == (0x0464, b"\x01\x00")
    assert status(line)[0] == 81
    line.feed(to(0x046A, 1, 2))
    poll_until_still(line)
    assert (status(line)[0], held.setting("angles_deg")) == (0, (0.0, 0.0, 0.0))


def test_relative_moves_and_the_ends_of_the_range(line):
    for counts, position in ((100, 100), (50, 150), (-1000, 0), (5000, 1370)):
        line.feed(with_data(0x0448, "<Hi", 1, counts))
        poll_until_still(line)
        assert status(line)[0] == position


def test_a_stop_is_answered_at_once_and_nothing_else_follows(line, held):
    line.feed(move(1, 1370))
    held.lab_time.advance_by(seconds_to_ps(0.3))
    ((code, data),) = messages(line.feed(to(0x0465, 1, 2)))
    channel, position, velocity, _, bits = struct.unpack("<HiHhL", data)
    assert (code, channel, velocity, bits & ACTIVE) == (0x0466, 1, 0, 0)
    assert 0 < position < 1370
    held.lab_time.advance_by(seconds_to_ps(10.0))
    assert status(line)[0] == position
    assert held.setting("angles_deg")[0] == pytest.approx(position * 170 / 1370)


def test_paddles_move_independently(line, held):
    line.feed(move(1, 100) + move(2, 1370) + move(4, 300))
    codes = [(code, data[0]) for code, data in poll_until_still(line, 2) if code == 0x0464]
    assert codes == [(0x0464, 1), (0x0464, 4), (0x0464, 2)]
    assert held.setting("angles_deg") == tuple(counts * 170 / 1370 for counts in (100, 1370, 300))


def test_enabling_some_channels_disables_the_others(line):
    assert [status(line, channel)[3] & ENABLED for channel in (1, 2, 4)] == [ENABLED] * 3
    line.feed(to(0x0210, 0b101, 1))
    assert line.feed(to(0x0211, 2)) == bytes.fromhex("1202 02 02 01 50")
    assert line.feed(to(0x0211, 4)) == bytes.fromhex("1202 04 01 01 50")
    line.feed(to(0x0210, 0, 1))
    assert [status(line, channel)[3] & ENABLED for channel in (1, 2, 4)] == [0] * 3


def test_a_disabled_paddle_does_not_move(line, held):
    line.feed(to(0x0210, 0, 1) + move(1, 100) + bytes.fromhex(HOME_1))
    held.lab_time.advance_by(seconds_to_ps(10.0))
    assert [code for code, _ in messages(line.feed(to(0x0490, 1)))] == [0x0491]
    assert status(line)[0] == 0


def test_parameters_are_held_to_their_ranges(line):
    line.feed(with_data(0x0530, "<6H", 0, 5, 2000, 10, 20, 3000))
    ((code, data),) = messages(line.feed(to(0x0531)))
    assert (code, struct.unpack("<6H", data)) == (0x0532, (0, 10, 1370, 10, 20, 1370))


def test_automatic_updates_come_every_100_ms_with_what_is_said(line, held):
    line.feed(to(0x0011))
    codes = [code for code, _ in messages(line.feed(to(0x0005)))]
    assert codes == [0x0006]
    held.lab_time.advance_by(seconds_to_ps(0.1))
    assert [code for code, _ in messages(line.feed(to(0x0005)))] == [0x0006] + [0x0491] * 3
    held.lab_time.advance_by(seconds_to_ps(10.0))
    line.feed(to(0x0012))
    assert [code for code, _ in messages(line.feed(to(0x0005)))] == [0x0006]


def test_for_a_client_that_only_listens_motions_end_with_the_answer(held):
    line = ThorlabsMpc320({"paddles": held}, serial_number="1", announces_at_once=True).session()
    assert line.feed(bytes.fromhex(HOME_1)) == bytes.fromhex("4404 01 00 01 50")
    assert held.lab_time.now_ps() == seconds_to_ps(0.7)


def test_announcements_go_to_who_asked(held):
    instrument = ThorlabsMpc320({"paddles": held}, serial_number="1")
    one, other = instrument.session(), instrument.session()
    one.feed(bytes.fromhex(HOME_1))
    held.lab_time.advance_by(seconds_to_ps(10.0))
    assert [code for code, _ in messages(other.feed(to(0x0005)))] == [0x0006]
    assert [code for code, _ in messages(one.feed(to(0x0005)))] == [0x0006, 0x0444]


def test_a_serial_number_that_is_no_number_is_a_mistake():
    with pytest.raises(ValueError, match="is not a number"):
        ThorlabsMpc320({}, serial_number="MPC-1")
