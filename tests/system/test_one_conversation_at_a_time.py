"""Replies are never mixed up: not by two threads at one instrument, nor by a reply that comes after its time.

The number of queries is 20 000, or what QDCI_QUERIES says.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.amplifier.fiberlabs_edfa import FiberlabsEdfa
from drivers.voa.keysight_n7764a import KeysightN7764A
from qdci_lab.device import Instrument
from qdci_lab.errors import LabError, TransportTimeout
from qdci_lab.wire.message import Query
from sim_devices.bench import Bench
from sim_devices.faults import LateReply

QUERIES = int(os.environ.get("QDCI_QUERIES", "20000"))
TIMEOUT_S = 0.1
ROUNDS = 12
VOA, AMPLIFIER = "alice.voa", "classical.amplifier"
KINDS: dict[str, tuple[type[Instrument], dict[str, int]]] = {
    VOA: (KeysightN7764A, {"slot": 1}),
    AMPLIFIER: (FiberlabsEdfa, {}),
}
QUESTIONS = {
    VOA: (b"*IDN?", b"*OPC?", b":INP1:WAV?"),
    AMPLIFIER: (b"*IDN?", b"ACTIVE", b"SETALC,1", b"MONIN"),
}


@pytest.fixture(scope="module")
def bench(testbed_folder: Path) -> Iterator[Bench]:
    with Bench(testbed_folder) as running:
        yield running


@pytest.fixture(params=KINDS)
def device(bench: Bench, request: pytest.FixtureRequest) -> Iterator[Instrument]:
    kind, options = KINDS[request.param]
    address = bench.devices[request.param].address
    made = kind(address, name="device", label=request.param, timeout_s=5.0, **options)
    made.connect()
    yield made
    bench.clear_faults()
    made.disconnect()


def asking(message: bytes) -> Query[bytes]:
    return Query(message, bytes)


def right_answers(device: Instrument) -> dict[bytes, bytes]:
    answers = {message: device.connection.query(asking(message)) for message in QUESTIONS[device.label]}
    assert len(set(answers.values())) == len(answers)
    return answers


def test_two_threads_at_one_instrument_never_get_each_others_replies(device):
    answers = right_answers(device)
    wrong: list[tuple[bytes, bytes]] = []
    count = QUERIES // 2

    def hammer(messages: list[bytes]) -> None:
        for number in range(count):
            message = messages[number % len(messages)]
            reply = device.connection.query(asking(message))
            if reply != answers[message]:
                wrong.append((message, reply))

    messages = list(answers)
    threads = [threading.Thread(target=hammer, args=(part,)) for part in (messages[:1], messages[1:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(device.connection.log) == device.connection.log.maxlen


@pytest.mark.parametrize("lateness", [1.2, 2.5, 6.0])
def test_a_late_reply_is_never_taken_for_the_answer_to_a_later_question(bench, device, lateness):
    """Any question may be the one that is answered late, by a fifth more than one timeout or by several of them."""
    answers = right_answers(device)
    choose = random.Random(f"{device.label} {lateness}")
    device.connection.timeout_s = TIMEOUT_S
    timeouts = 0
    for _ in range(ROUNDS if lateness < 2 else ROUNDS // 3):
        fault = {"kind": LateReply.KIND, "delay_s": lateness * TIMEOUT_S, "messages": 1}
        bench.add_fault(device.label, {**fault, "after_messages": choose.randrange(2)})
        for _ in range(4):
            message = choose.choice(list(answers))
            try:
                assert device.connection.query(asking(message)) == answers[message]
            except TransportTimeout:
                timeouts += 1
            except LabError as error:
                pytest.fail(f"a reply was taken for another one's: {error}")
        bench.clear_faults(device.label)
        answered(device, answers)
    assert timeouts > 0


def answered(device: Instrument, answers: dict[bytes, bytes]) -> None:
    """Every question gets its own answer again, within seconds of the fault's end."""
    deadline_s = time.monotonic() + 10.0
    for message, answer in answers.items():
        while time.monotonic() < deadline_s:
            try:
                assert device.connection.query(asking(message)) == answer
                break
            except TransportTimeout:
                continue
        else:
            pytest.fail(f"{device.label} does not answer {message!r} any more")
