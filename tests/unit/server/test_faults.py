"""When faults begin and end, and what an instrument on a faulty wire says; told with an instrument of three words."""

import threading
from collections.abc import Callable

import pytest

from sim_devices.faults import (
    FAULTS,
    SERIAL,
    STREAM,
    Busy,
    DroppedConnection,
    Fault,
    FaultSchedule,
    Garbage,
    HalfOpenLink,
    LateReply,
    PowerGlitch,
    Reboot,
    StuckErrorQueue,
    TruncatedReply,
    WrongIdentity,
)
from sim_devices.firmware.lines import LineSession
from sim_devices.server.faulty import FaultyInstrument, LinkEnds
from sim_devices.twin.lab_time import LabTime

SECOND_PS = 10**12


class Adder:
    """`ADD` adds one without a word, `SUM?` says how many; forgets them without power."""

    def __init__(self) -> None:
        self._sum = 0
        self._lock = threading.RLock()

    def session(self) -> LineSession:
        return LineSession(self._answer, self._lock, reply_end=b"\n")

    def _answer(self, message: str) -> str | None:
        self._sum += message == "ADD"
        return {"SUM?": f"sum {self._sum}", "*IDN?": "adder", "SYST:ERR?": '+0,"No error"'}.get(message)


@pytest.fixture
def lab_time() -> LabTime:
    return LabTime()


@pytest.fixture
def schedule(lab_time: LabTime) -> FaultSchedule:
    return FaultSchedule(lab_time)


@pytest.fixture
def make(schedule: FaultSchedule) -> Callable[[str], FaultyInstrument]:
    return lambda wire: FaultyInstrument(Adder, schedule, wire=wire)


def met(schedule: FaultSchedule, messages: int) -> str:
    """What as many messages meet, one letter each: `x` the fault, `.` nothing."""
    seen = ""
    for _ in range(messages):
        fault = schedule.next()
        if fault is None:
            schedule.let_pass()
        else:
            schedule.spoil(fault)
        seen += "." if fault is None else "x"
    return seen


def test_by_count(schedule):
    schedule.add(Garbage(after_messages=2, messages=3))
    assert met(schedule, 8) == "..xxx..."


def test_until_it_is_cleared(schedule):
    schedule.add(Garbage(after_messages=1))
    assert met(schedule, 5) == ".xxxx"
    schedule.clear()
    assert met(schedule, 2) == ".."


def test_by_lab_time(schedule, lab_time):
    schedule.add(Garbage(from_s=2.0, for_s=1.0))
    for at_s, seen in ((1.999, "."), (2.0, "x"), (2.999, "x"), (3.0, ".")):
        lab_time.advance_to(round(at_s * SECOND_PS))
        assert met(schedule, 1) == seen


def test_a_span_of_lab_time_counts_from_the_first_message_spoilt_where_messages_say_when(schedule, lab_time):
    schedule.add(Garbage(after_messages=1, for_s=1.0))
    lab_time.advance_by(5 * SECOND_PS)
    assert met(schedule, 2) == ".x"
    lab_time.advance_by(SECOND_PS - 1)
    assert met(schedule, 1) == "x"
    lab_time.advance_by(1)
    assert met(schedule, 1) == "."


def test_faults_follow_each_other_in_the_order_of_their_arming(schedule):
    first, second = Garbage(messages=1), Busy(messages=1)
    schedule.add(first)
    schedule.add(second)
    assert schedule.next() is first
    schedule.spoil(first)
    assert schedule.next() is second


def test_what_is_held_back_is_let_go_when_the_fault_is_cleared(schedule):
    fault = LateReply(delay_s=60.0)
    schedule.add(fault)
    held = threading.Thread(target=schedule.hold, args=(fault, fault.delay_s))
    held.start()
    schedule.clear()
    held.join(timeout=10)
    assert not held.is_alive()


def test_what_is_held_back_for_lab_time_is_let_go_when_it_has_passed(schedule, lab_time):
    fault = Busy(for_s=1.0)
    schedule.add(fault)
    held = threading.Thread(target=schedule.hold, args=(fault, None))
    held.start()
    lab_time.advance_by(SECOND_PS)
    held.join(timeout=10)
    assert not held.is_alive()


def test_every_kind_has_its_name_and_a_place():
    assert len(FAULTS) == 12
    for name, kind in FAULTS.items():
        assert name == kind.KIND
        assert kind.WIRES
        assert kind.__doc__


# On the wire


def said(instrument: FaultyInstrument, *messages: bytes, fault: Fault) -> list[bytes]:
    """What one conversation answers to each message after the fault has been armed; `ends` where it ends."""
    session = instrument.session()
    session.feed(b"ADD\nADD\n")
    instrument.arm(fault)
    answers = []
    for message in messages:
        try:
            answers.append(session.feed(message))
        except LinkEnds:
            answers.append(b"ends")
    return answers


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        (LateReply(messages=1, delay_s=0.001), [b"sum 2\n", b"adder\n"]),
        (DroppedConnection(messages=1), [b"ends", b"adder\n"]),
        (HalfOpenLink(messages=1), [b"", b""]),
        (TruncatedReply(messages=1), [b"sum", b"adder\n"]),
        (Busy(messages=1), [b"", b"sum 2\nadder\n"]),
        (StuckErrorQueue(messages=1), [b"sum 2\n", b"adder\n"]),
        (WrongIdentity(messages=1), [b"ends", b"adder\n"]),
        (Reboot(messages=1), [b"ends", b"ends"]),
        (PowerGlitch(), [b"ends", b"ends"]),
    ],
    ids=lambda value: value.KIND if isinstance(value, Fault) else "",
)
def test_what_a_client_on_a_socket_hears(make, fault, answers):
    assert said(make(STREAM), b"SUM?\n", b"*IDN?\n", fault=fault) == answers


@pytest.mark.parametrize(
    ("fault", "answers"),
    [
        (HalfOpenLink(messages=1), [b"", b"sum 2\n"]),
        (WrongIdentity(messages=2), [b"", b"ACME,Another instrument,0,1.0\r\n", b"sum 2\n"]),
        (Reboot(messages=2), [b"", b"", b"sum 0\n"]),
        (PowerGlitch(), [b"", b"adder\n", b"sum 0\n"]),
    ],
    ids=lambda value: value.KIND if isinstance(value, Fault) else "",
)
def test_what_a_client_on_a_serial_line_hears(make, fault, answers):
    messages = [b"SUM?\n", b"*IDN?\n", b"SUM?\n"][: len(answers)]
    messages[-1] = b"SUM?\n"
    assert said(make(SERIAL), *messages, fault=fault) == answers


def test_garbage_is_the_same_every_time_and_no_text(make, schedule):
    first, second = (said(make(STREAM), b"SUM?\n", fault=Garbage(seed=5))[0] for _ in range(2))
    assert first == second
    assert len(first) == len(b"sum 2\n")
    assert first.endswith(b"\n")
    assert min(first[:-1]) >= 0x80
    schedule.clear()
    assert said(make(STREAM), b"SUM?\n", fault=Garbage(seed=6))[0] != first


def test_faults_of_replies_do_not_count_messages_without_one(make):
    answers = said(make(STREAM), b"ADD\n", b"SUM?\n", b"SUM?\n", fault=TruncatedReply(messages=1))
    assert answers == [b"", b"sum", b"sum 3\n"]


def test_messages_count_one_by_one_however_they_come(make):
    fault = DroppedConnection(after_messages=2, messages=1)
    assert said(make(STREAM), b"SUM?\r\nSUM?\r\n", b"SUM?\r\n", fault=fault) == [b"sum 2\nsum 2\n", b"ends"]


def test_an_error_queue_that_is_stuck_never_empties_and_the_rest_is_right(make):
    fault = StuckErrorQueue(code=-360, text="Communication error")
    answers = said(make(STREAM), b"SYST:ERR?\n", b":syst:error:next?\n", b"SUM?\n", fault=fault)
    assert answers == [b'-360,"Communication error"\n'] * 2 + [b"sum 2\n"]


def test_a_reboot_that_is_due_takes_the_settings_at_once(make):
    instrument = make(STREAM)
    instrument.session().feed(b"ADD\n")
    instrument.arm(Reboot())
    instrument.faults.clear()
    assert instrument.session().feed(b"SUM?\n") == b"sum 0\n"


def test_a_conversation_from_before_a_reboot_is_over_even_if_it_said_nothing_meanwhile(make):
    instrument = make(STREAM)
    session = instrument.session()
    instrument.arm(Reboot())
    instrument.faults.clear()
    with pytest.raises(LinkEnds):
        session.feed(b"SUM?\n")


def test_a_dead_link_stays_dead_and_a_new_one_lives(make):
    instrument = make(STREAM)
    session = instrument.session()
    instrument.arm(HalfOpenLink(messages=1))
    assert session.feed(b"SUM?\n") == b""
    instrument.faults.clear()
    assert session.feed(b"SUM?\n") == b""
    assert instrument.session().feed(b"SUM?\n") == b"sum 0\n"
