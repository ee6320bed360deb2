import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdci_lab.units import seconds_to_ps
from sim_devices.firmware.json_objects import JsonObjectFramer
from sim_devices.firmware.session import StreamingSession
from sim_devices.firmware.single_quantum_eos import PATIENCE_PULLS, SingleQuantumEos


def rate_hz(number: int):
    """Counts that grow with the bias current, one detector twice as fast as the one before."""

    def sense(settings) -> float:
        return settings["enabled"] * 20.0 * number * abs(settings["bias_ua"][number - 1])

    return sense


@pytest.fixture
def detectors(held):
    held.observables |= {f"count_rate_hz:{number}": rate_hz(number) for number in range(1, 5)}
    return held


@pytest.fixture
def eos(detectors):
    return SingleQuantumEos({"detectors": detectors}, serial_number="EOS-7")


@pytest.fixture
def line(eos):
    return eos.session()


def ask(line, **message: object) -> list[tuple[str, Any]]:
    reply = line.feed(json.dumps(message).encode())
    if not reply:
        return []
    assert reply.endswith(b"\x17")
    answers = [json.loads(part) for part in reply.split(b"\x17")[:-1]]
    assert all(set(answer) == {"label", "value"} for answer in answers)
    return [(answer["label"], answer["value"]) for answer in answers]


SCRIPT = (
    b'{"request":"labelProps","value":"None"}{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", '
    b'"value": 20}\r\n{"command":"SetAllBiasCurrents","label":"BiasCurrent","value":[12.0,8.0,3.0,8.0]}}}'
    b'{"command":"DetectorEnable","value":true}{"request":"BiasVoltage"}{"request":"a \\"}{ brace"}{nonsense}'
    b'{"command":"SetAllTriggerLevels","label":"TriggerLevel","value":[1,2,3]}'
)


@given(st.lists(st.integers(0, len(SCRIPT)), max_size=10))
def test_a_conversation_in_any_chunking(cuts):
    line = SingleQuantumEos({}, serial_number="1").session()
    edges = [0, *sorted(cuts), len(SCRIPT)]
    replies = b"".join(line.feed(SCRIPT[begin:end]) for begin, end in pairwise(edges))
    answers = [json.loads(part) for part in replies.split(b"\x17")[:-1]]
    assert replies.endswith(b"\x17")
    assert [(answer["label"], answer["value"]) for answer in answers[-7:-3]] == [
        ("InptMeasurementPeriod", 20),
        ("BiasCurrent", [12.0, 8.0, 3.0, 8.0]),
        ("DetectorEnable", True),
        ("BiasVoltage", [1200.0, 800.0, 300.0, 800.0]),
    ]
    assert [answer["label"] for answer in answers[-3:]] == ["ErrorMessage"] * 3


def test_byte_by_byte(line):
    whole = SingleQuantumEos({}, serial_number="EOS-7").session().feed(SCRIPT)
    assert b"".join(line.feed(bytes((byte,))) for byte in SCRIPT) == whole


def test_label_properties_tell_everything_a_client_asks_for_later(line):
    told = dict(ask(line, request="labelProps", value="None"))
    assert told["NumberOfDetectors"]["value"] == 4
    assert told["InptMeasurementPeriod"] == {"value": 100, "bounds": [10, 60_000], "units": "ms"}
    assert told["BiasCurrent"]["units"] == "uA"
    assert {"TriggerLevel", "BiasVoltage", "StartAutoIV", "BiasCurrentAutoIV"} < set(told)


def test_no_answer_can_be_mistaken_for_two(line):
    """The maker's client cuts at a closing and an opening brace."""
    assert b"}{" not in line.feed(b'{"request":"labelProps","value":"None"}')


def test_settings_reach_the_detectors(line, detectors):
    assert ask(line, command="DetectorEnable", value=True) == [("DetectorEnable", True)]
    ask(line, command="SetAllBiasCurrents", label="BiasCurrent", value=[1, 2, 3, 4])
    ask(line, command="SetAllTriggerLevels", label="TriggerLevel", value=[5, 6, 7, 8])
    assert detectors.setting("bias_ua") == (1.0, 2.0, 3.0, 4.0)
    assert detectors.setting("trigger_mv") == (5.0, 6.0, 7.0, 8.0)
    assert detectors.setting("enabled") is True
    assert ask(line, request="TriggerLevel") == [("TriggerLevel", [5.0, 6.0, 7.0, 8.0])]
    assert detectors.lab_time.now_ps() == 0


@pytest.mark.parametrize(
    "message",
    [
        {"command": "SetAllBiasCurrents", "value": [1, 2, 3]},
        {"command": "SetAllBiasCurrents", "value": 1},
        {"command": "SetAllBiasCurrents", "value": [1, 2, 3, 91]},
        {"command": "SetAllBiasCurrents", "value": [1, 2, 3, "4"]},
        {"command": "SetAllBiasCurrents", "value": [1, 2, 3, float("nan")]},
        {"command": "SetAllBiasCurrents", "value": [1, 2, 3, 10**400]},
        {"command": "SetMeasurementPeriod", "value": 9},
        {"command": "SetMeasurementPeriod", "value": True},
        {"command": "DetectorEnable", "value": 1},
        {"command": "NumberOfDetectors", "value": 9},
        {"command": "Nonsense", "value": 1},
        {"command": "AutoCaliBiasCurrents", "value": "yes"},
        {"request": "Nonsense"},
        {"request": 5},
        {"value": 5},
    ],
)
def test_mistakes_are_reported_and_change_nothing(line, message):
    before = ask(line, request="labelProps", value="None")
    ((label, text),) = ask(line, **message)
    assert "Error" in label
    assert isinstance(text, str)
    assert ask(line, request="labelProps", value="None") == before


def test_everybody_hears_of_a_change(eos):
    one, other = eos.session(), eos.session()
    ask(one, command="SetMeasurementPeriod", value=50)
    assert ask(other, request="DetectorEnable") == [("InptMeasurementPeriod", 50), ("DetectorEnable", False)]


def test_a_line_of_counts_takes_a_measurement_period(eos, line, detectors):
    ask(line, command="DetectorEnable", value=True)
    ask(line, command="SetAllBiasCurrents", value=[10, 10, 10, 5])
    ask(line, command="SetMeasurementPeriod", value=500)
    counts = eos.extra_ports["counts"].session()
    assert isinstance(counts, StreamingSession)
    assert counts.feed(b"anything") == b""
    assert counts.pull() == b"1704067200.000,100,200,300,200\n"
    detectors.lab_time.advance_to(seconds_to_ps(0.5) - 1)
    assert counts.pull() == b""
    detectors.lab_time.advance_to(seconds_to_ps(0.5))
    assert [counts.pull(), counts.pull()] == [b"1704067200.500,100,200,300,200\n", b""]
    assert detectors.lab_time.now_ps() == seconds_to_ps(0.5)
    assert eos.extra_ports["counts"].offset == 12345 - 12000


def test_the_automatic_bias_is_told_from_beginning_to_end(line, detectors):
    ask(line, command="DarkCountsAutoIV", value=[100, 100, 100, 100])
    told = ask(line, command="AutoCaliBiasCurrents", value=True)
    found_ua = [5.0, 2.5, 1.5, 1.0]
    assert told == [
        ("StartAutoIV", True),
        ("BiasCurrent", found_ua),
        ("BiasCurrentAutoIV", found_ua),
        ("StartAutoIV", False),
    ]
    assert detectors.setting("bias_ua") == tuple(found_ua)
    assert detectors.lab_time.now_ps() == seconds_to_ps(1.1)


def test_scans(line, detectors):
    ask(line, command="SetAllBiasCurrents", value=[7, 7, 7, 7])
    for name, value in (("Start", -1), ("End", 2), ("Increment", 0.5)):
        ask(line, command=f"IVScan{name}", value=value)
    ask(line, command="IVScanEnable", value=True)
    (_, counts), (_, volts) = ask(line, request="IVHistory")
    assert [point["biasCurrent"] for point in counts] == [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
    assert counts[-1] == {"biasCurrent": 2.0, "y1": 4.0, "y2": 8.0, "y3": 12.0, "y4": 16.0}
    assert volts[0] == {"biasCurrent": -1.0, "v1": -100.0, "v2": -100.0, "v3": -100.0, "v4": -100.0}
    assert (detectors.setting("bias_ua"), detectors.setting("enabled")) == ((7.0,) * 4, False)
    assert detectors.lab_time.now_ps() == seconds_to_ps(0.7)


def test_a_scan_that_leads_nowhere_is_a_mistake(line):
    ask(line, command="IVScanIncrement", value=-1)
    assert ask(line, command="IVScanEnable", value=True)[0][0] == "ErrorMessage"


def test_temperatures(line):
    ((label, points),) = ask(line, request="TemperatureHistory")
    assert label == "temperature_long_memory"
    assert isinstance(points, list)
    assert points[-1] == {
        "T": 2.5, "T2": 40.0, "V_avrg": 1.6, "BoardTemp1": 35.0, "BoardTemp2": 35.0,
        "x": "01-Jan-24 00:00:00.000000",
    }  # fmt: skip


def test_a_period_passes_for_a_client_that_waits_in_vain(eos, detectors):
    counts = eos.extra_ports["counts"].session()
    assert isinstance(counts, StreamingSession)
    assert counts.pull().startswith(b"1704067200.000,")
    assert [counts.pull() for _ in range(PATIENCE_PULLS)] == [b""] * PATIENCE_PULLS
    assert counts.pull().startswith(b"1704067200.100,")
    assert detectors.lab_time.now_ps() == seconds_to_ps(0.1)


def test_an_instrument_connected_to_nothing_counts_nothing():
    eos = SingleQuantumEos({}, serial_number="1", detectors=2)
    counts = eos.extra_ports["counts"].session()
    assert isinstance(counts, StreamingSession)
    assert counts.pull() == b"1704067200.000,0,0\n"
    with pytest.raises(ValueError, match="at least one"):
        SingleQuantumEos({}, serial_number="1", detectors=0)


def test_objects_that_are_too_long_or_too_deep_are_given_up():
    framer = JsonObjectFramer()
    assert list(framer.feed(b'{"a":"' + b"x" * (1 << 20) + b'"}')) == []
    assert list(framer.feed(b'{"b":' * 100 + b"1" + b"}" * 100)) != [b'{"b":' * 100 + b"1" + b"}" * 100]
    assert list(framer.feed(b'}{"c":1}'))[-1] == b'{"c":1}'
