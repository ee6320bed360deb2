"""Calls of a library that may not come back."""

import ctypes
import threading
import time
from collections.abc import Iterator

import pytest

from qdci_lab.errors import TransportTimeout
from qdci_lab.transport.c_api import PatientCalls

TIMEOUT_S = 0.05


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_results_arguments_and_mistakes_pass():
    calls = PatientCalls("lab.dev", timeout_s=10.0)
    absolute = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(abs)
    assert [calls.bind("abs", absolute)(number) for number in (-2, 3)] == [2, 3]
    with pytest.raises(ctypes.ArgumentError):
        calls.bind("abs", absolute)("two")
    assert calls.bind("abs", absolute)(-4) == 4


def test_all_calls_are_made_by_one_thread():
    calls = PatientCalls("lab.dev", timeout_s=10.0)
    who = calls.bind("who", threading.get_ident)
    assert len({who() for _ in range(10)}) == 1
    assert who() != threading.get_ident()


def test_a_call_that_does_not_come_back_is_named_in_time_and_so_are_the_next_ones(released):
    calls = PatientCalls("lab.dev", timeout_s=TIMEOUT_S)
    began_s = time.monotonic()
    with pytest.raises(TransportTimeout, match=r"^lab\.dev: TDC_hang does not come back$"):
        calls.bind("TDC_hang", released.wait)()
    assert time.monotonic() - began_s < TIMEOUT_S + 1.0
    with pytest.raises(TransportTimeout, match=r"^lab\.dev: the library is stuck in TDC_hang$"):
        calls.bind("TDC_other", lambda: 1)()


def test_when_it_has_come_back_its_result_is_dropped_and_others_get_theirs(released):
    calls = PatientCalls("lab.dev", timeout_s=TIMEOUT_S)
    back = threading.Event()

    def hang() -> str:
        released.wait()
        back.set()
        return "late"

    with pytest.raises(TransportTimeout):
        calls.bind("TDC_hang", hang)()
    released.set()
    assert back.wait(10.0)
    other = calls.bind("TDC_other", lambda: "mine")
    for _ in range(1000):
        try:
            assert other() == "mine"
            break
        except TransportTimeout:  # the thread is between the function's return and its note of it
            continue
    assert [other() for _ in range(3)] == ["mine"] * 3


def test_whoever_is_in_a_hurry_does_not_wait_for_all_of_the_timeout(released):
    calls = PatientCalls("lab.dev", timeout_s=60.0)
    under_way = threading.Event()

    def hang() -> None:
        under_way.set()
        released.wait()

    hurry = threading.Thread(target=lambda: (under_way.wait(), calls.hurry()))
    hurry.start()
    with pytest.raises(TransportTimeout, match="TDC_hang"):
        calls.bind("TDC_hang", hang)()
    hurry.join()
