import itertools
import threading

import numpy as np
import pytest

from qdci_lab.clock import LabClock
from qdci_lab.errors import TransportError

DEVICE = "bob.tagger"
TAGGER = {"op": "tagger", "device": DEVICE}


def read_tags(client, **more) -> tuple[dict, list[int], list[int]]:
    reply = client.ask(**TAGGER, call="read", **more)
    body = client.replies.read(reply["binary"])
    times = np.frombuffer(body, dtype="<i8", count=reply["count"])
    return reply, times.tolist(), list(body[8 * reply["count"] :])


def test_lab_time_moves_when_somebody_asks(control, server):
    assert control.ask(op="now") == {"now_ps": 0}
    assert control.ask(op="advance", by_ps=5) == {"now_ps": 5}
    clock = LabClock(server.address)
    clock.sleep(2.0)
    assert clock.now_ps() == 2 * 10**12 + 5
    clock.close()


def test_hello(control, small_bench):
    assert control.ask(op="hello") == small_bench.hello()


@pytest.mark.parametrize(
    "line",
    [
        b"[1]\n",
        b"nonsense\n",
        b'{"op": "fly"}\n',
        b"{}\n",
        b'{"op": "advance"}\n',
        b'{"op": "advance", "by_ps": 1.5}\n',
        b'{"op": "advance", "by_ps": -1}\n',
        b'{"op": "advance", "by_ps": true}\n',
        b'{"op": "stop_device"}\n',
        b"\xff\n",
        b'{"op": "tagger", "device": "bob.tagger"}\n',
        b'{"op": "tagger", "device": "bob.tagger", "call": "fly"}\n',
        b'{"op": "tagger", "device": "nobody", "call": "read"}\n',
        b'{"op": "stop_device", "device": "nobody"}\n',
    ],
)
def test_errors_are_told_and_the_connection_goes_on(control, line):
    assert set(control.ask_raw(line)) == {"error"}
    assert control.ask(op="now") == {"now_ps": 0}


def test_reading_tags(control, small_bench):
    small_bench.tags.play((5, 9), (10, 1), (2000, 4), (3000, 2))
    control.ask(op="advance", by_ps=7)
    assert control.ask(**TAGGER, call="input", on=True)["now_ps"] == 7
    control.ask(op="advance", by_ps=2500)
    reply, times, channels = read_tags(control)
    assert (reply["now_ps"], reply["count"], reply["binary"]) == (2507, 2, 18)
    assert (times, channels) == ([10, 2000], [1, 4])
    assert read_tags(control)[1:] == ([], [])
    control.ask(op="advance", by_ps=10_000)
    assert read_tags(control, until_ps=2600)[1] == []
    assert read_tags(control, until_ps=10**15)[1] == [3000]
    assert max(small_bench.tags.reads) == 12_507


def test_the_input_switch_reaches_the_component(control, small_bench):
    assert small_bench.inputs.setting("input_on") is False
    control.ask(**TAGGER, call="input", on=True)
    assert small_bench.inputs.setting("input_on") is True
    control.ask(**TAGGER, call="input", on=False)
    assert small_bench.inputs.setting("input_on") is False


def test_a_stopped_tagger_is_not_connected(control, small_bench):
    control.ask(**TAGGER, call="input", on=True)
    boot = control.ask(**TAGGER, call="state")["boot"]
    control.ask(op="stop_device", device=DEVICE)
    assert small_bench.inputs.setting("input_on") is False
    for call in ("state", "read", "input"):
        assert control.ask(**TAGGER, call=call) == {"error": f"device {DEVICE} is not connected"}
    control.ask(op="start_device", device=DEVICE)
    assert "error" not in control.ask(**TAGGER, call="state")
    assert control.ask(**TAGGER, call="state", boot=boot) == {"error": f"device {DEVICE} is not connected"}


def test_shutdown_is_passed_on(control, small_bench):
    assert control.ask(op="shutdown") == {}
    assert small_bench.stopping.wait(30)


def test_large_replies_to_several_clients_at_once(new_control, small_bench):
    count = 300_000
    small_bench.tags.play(*((10 * serial, 1 + serial % 4) for serial in range(count)))
    small_bench.lab_time.advance_by(10 * count)
    times: dict[int, list[int]] = {}

    def fetch(number: int) -> None:
        client = new_control()
        times[number] = read_tags(client)[1]

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain.from_iterable(times.values())) == [10 * serial for serial in range(count)]


def test_closing_hangs_up(control, server):
    control.ask(op="now")
    clock = LabClock(server.address)
    server.close()
    assert control.replies.read() == b""
    with pytest.raises(TransportError):
        clock.now_ps()
    clock.close()
