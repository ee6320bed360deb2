"""SingleQuantumEos against its transcript and against a driver of detectors that also speaks unasked."""

import json
from typing import Any

import pytest
from ophyd.utils import LimitError

from drivers.detector import single_quantum_eos_codec as codec
from drivers.detector.single_quantum_eos import SingleQuantumEos
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.scripted import ScriptedTransport

WAIT_S = 5.0
CLICKS_PER_S = (1000, 2500)


class Eos:
    """Two detectors. Labels come in an order that changes; a setting takes `lag` requests to show."""

    def __init__(self) -> None:
        self.labels: dict[str, Any] = {
            "NumberOfDetectors": 2,
            "InptMeasurementPeriod": 100,
            "BiasCurrent": [0.0, 0.0],
            "TriggerLevel": [100.0, 100.0],
            "DetectorEnable": False,
            "BoardTemperature": 31.5,
        }
        self.pending: list[tuple[str, Any]] = []
        self.lag = 0
        self.errors: list[str] = []
        self.unasked = ""
        self.silent = False
        self.heard: list[dict[str, Any]] = []

    def answer(self, data: bytes) -> bytes:
        message = json.loads(data)
        self.heard.append(message)
        if self.silent:
            return b""
        if message.get("request") == "labelProps":
            return "".join(f"{item}\x17" for item in self.properties()).encode()
        self.pending = [(message["label"], message["value"])]
        self.wait = self.lag
        return b""

    def properties(self) -> list[str]:
        if self.pending and self.wait == 0:
            label, value = self.pending.pop()
            self.labels[label] = value
        elif self.pending:
            self.wait -= 1
        said = [self.unasked] if self.unasked else []
        said += [json.dumps({"label": "Error", "value": text}) for text in self.errors]
        self.errors = []
        props = [
            json.dumps({"label": label, "value": {"value": value, "unit": "?"}})
            for label, value in self.labels.items()
        ]
        self.labels = dict(reversed(self.labels.items()))
        return [*said, *props]


class CountsPort(MemoryTransport):
    """A line a period since the link was opened, as time goes on; the first one is cut short by other settings."""

    def __init__(self, eos: Eos, clock: Any) -> None:
        super().__init__(lambda _data: b"")
        self.eos, self.clock = eos, clock
        self.opened = 0
        self.lines = 0
        self.fields: list[str] = []

    def open(self) -> None:
        super().open()
        self.opened += 1
        self.began_ps, self.lines = self.clock.now_ps(), 0

    def read(self, timeout_s: float) -> bytes:
        period_s = self.eos.labels["InptMeasurementPeriod"] / 1000
        due = int((self.clock.now_ps() - self.began_ps) * 1e-12 / period_s)
        while self.lines < due:
            self.lines += 1
            clicks = [0, 0] if self.lines == 1 else [round(rate * period_s) for rate in CLICKS_PER_S]
            fields = self.fields or [f"{1.6e9 + self.lines:.3f}", *map(str, clicks)]
            self._waiting += (",".join(fields) + "\n").encode()
        return super().read(timeout_s)


@pytest.fixture
def eos() -> Eos:
    return Eos()


@pytest.fixture
def counts_port(eos: Eos, clock: Any) -> CountsPort:
    return CountsPort(eos, clock)


@pytest.fixture
def detectors(eos: Eos, counts_port: CountsPort, clock: Any) -> Any:
    device = SingleQuantumEos(
        "memory", name="dev", label="lab.dev", transport=MemoryTransport(eos.answer, chunk=23), clock=clock
    )
    device.counts.transport = counts_port
    device.connect()
    yield device
    device.disconnect()


def test_it_speaks_as_the_transcript_does(transcript: Any, clock: Any):
    transport = ScriptedTransport(
        transcript("single_quantum_eos"), terminator=b"", reply_end=b"\x17", chunk=9
    )
    transport.open()
    detectors = SingleQuantumEos("scripted", name="dev", label="lab.dev", transport=transport, clock=clock)
    assert detectors.identify() == "Single Quantum EOS, 2 detectors"
    detectors.bias_currents.set((18.5, 20.0)).wait(WAIT_S)
    detectors.trigger_levels.set((150.0, -80.0)).wait(WAIT_S)
    detectors.enabled.set(1).wait(WAIT_S)
    detectors.measurement_period.set(0.2).wait(WAIT_S)
    assert transport.exhausted


def test_connecting_reads_settings_and_clicks(detectors: Any, eos: Eos):
    assert detectors.identity.last == "Single Quantum EOS, 2 detectors"
    assert detectors.bias_currents.last == (0.0, 0.0)
    assert detectors.trigger_levels.last == (100.0, 100.0)
    assert detectors.enabled.last is False
    assert detectors.measurement_period.last == 0.1
    assert detectors.count_rates.last == pytest.approx(CLICKS_PER_S)
    assert {message["request"] for message in eos.heard} == {"labelProps"}


def test_counting_takes_a_whole_period_that_began_after_it_was_asked_for(
    detectors: Any, counts_port: CountsPort, clock: Any
):
    detectors.measurement_period.set(0.5).wait(WAIT_S)
    before_ps = clock.now_ps()
    detectors.trigger().wait(WAIT_S)
    assert detectors.count_rates.last == pytest.approx(CLICKS_PER_S)
    assert clock.now_ps() - before_ps == pytest.approx(1.002e12)
    assert counts_port.opened == 2
    assert not counts_port.is_open


def test_settings_reach_the_instrument(detectors: Any, eos: Eos):
    detectors.bias_currents.set([18.51, 20.0]).wait(WAIT_S)
    detectors.trigger_levels.set((150.0, -80.0)).wait(WAIT_S)
    detectors.enabled.set(1).wait(WAIT_S)
    detectors.measurement_period.set(0.05).wait(WAIT_S)
    said = [message for message in eos.heard if "command" in message]
    assert said == [
        {"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [18.51, 20.0]},
        {"command": "SetAllTriggerLevels", "label": "TriggerLevel", "value": [150.0, -80.0]},
        {"command": "DetectorEnable", "label": "DetectorEnable", "value": True},
        {"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 50},
    ]
    assert detectors.bias_currents.last == (18.51, 20.0)


def test_a_setting_that_shows_late_is_waited_for(detectors: Any, eos: Eos, clock: Any):
    eos.lag = 3
    before_ps = clock.now_ps()
    detectors.bias_currents.set((5.0, 6.0)).wait(WAIT_S)
    assert clock.now_ps() - before_ps == 3 * 100_000_000_000


def test_a_setting_that_never_shows_is_reported(detectors: Any, eos: Eos):
    eos.lag = 1000
    with pytest.raises(AcquisitionError, match=r"dev_bias_currents: set to \(5\.0, 6\.0\) uA"):
        detectors.bias_currents.set((5.0, 6.0)).wait(WAIT_S)


def test_what_comes_unasked_is_not_taken_for_an_answer(detectors: Any, eos: Eos):
    eos.unasked = '{"label": "BiasCurrent", "value": [77.0, 77.0]}{"label": "Other"}{"greeting": 1}'
    detectors.trigger().wait(WAIT_S)
    assert detectors.bias_currents.last == (0.0, 0.0)


def test_an_error_is_the_instruments_refusal_and_leaves_nothing_behind(detectors: Any, eos: Eos):
    eos.errors = ["current too high"]
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -1, 'Error: current too high'"):
        detectors.bias_currents.set((50.0, 50.0)).wait(WAIT_S)
    detectors.trigger_levels.set((10.0, 20.0)).wait(WAIT_S)
    assert detectors.trigger_levels.last == (10.0, 20.0)


def test_limits_name_the_detector(detectors: Any, eos: Eos):
    heard = len(eos.heard)
    with pytest.raises(
        LimitError, match=r"dev_bias_currents, detector 2: 91 uA is above the bound of 90\.9 uA"
    ):
        detectors.bias_currents.set((0.0, 91.0))
    with pytest.raises(LimitError, match=r"dev_trigger_levels: 3 numbers, but there are 2 detectors"):
        detectors.trigger_levels.set((0.0, 0.0, 0.0))
    with pytest.raises(LimitError, match=r"dev_measurement_period: 0\.001 s is below the bound of 0\.01 s"):
        detectors.measurement_period.set(0.001)
    assert len(eos.heard) == heard


def test_reading_does_no_io_and_gives_units(detectors: Any, eos: Eos, counts_port: CountsPort):
    heard, opened = len(eos.heard), counts_port.opened
    keys = {**detectors.describe(), **detectors.describe_configuration()}
    units = {name: key.get("units") for name, key in keys.items() if key["dtype"] != "string"}
    assert units == {
        "dev_bias_currents": "uA", "dev_enabled": "1", "dev_count_rates": "Hz",
        "dev_trigger_levels": "mV", "dev_measurement_period": "s",
    }  # fmt: skip
    assert keys["dev_count_rates"]["shape"] == [2]
    assert (len(eos.heard), counts_port.opened) == (heard, opened)


def test_a_line_of_counts_that_is_none_is_named(detectors: Any, counts_port: CountsPort):
    counts_port.fields = ["1.6e9", "12"]
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev counts: not a time and 2 numbers of clicks"):
        detectors.trigger().wait(WAIT_S)
    assert not counts_port.is_open


def test_no_counts_are_a_timeout(detectors: Any):
    detectors.counts.transport = MemoryTransport(lambda _data: b"")
    with pytest.raises(TransportTimeout, match=r"lab\.dev counts: memory: no answer"):
        detectors.count_rates.get()


def test_silence_is_a_timeout(detectors: Any, eos: Eos):
    eos.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        detectors.trigger().wait(WAIT_S)


@pytest.mark.parametrize(
    ("address", "counts_address"),
    [
        ("TCPIP::192.0.2.7::12000::SOCKET", "TCPIP::192.0.2.7::12345::SOCKET"),
        ("TCPIP0::eos.lab::12000::SOCKET", "TCPIP0::eos.lab::12345::SOCKET"),
        ("TCPIP::127.0.0.1::40000::SOCKET", "TCPIP::127.0.0.1::40345::SOCKET"),
        ("socket://192.0.2.7:12000", "socket://192.0.2.7:12345"),
        ("replay:/data/bob.detectors.wire", "replay:/data/bob.detectors.counts.wire"),
    ],
)
def test_the_counts_port_is_that_of_the_same_host(address: str, counts_address: str):
    assert SingleQuantumEos(address, name="dev").counts_address == counts_address


def test_the_counts_port_may_be_elsewhere():
    elsewhere = "TCPIP::127.0.0.1::40001::SOCKET"
    device = SingleQuantumEos("TCPIP::127.0.0.1::40000::SOCKET", name="dev", counts_address=elsewhere)
    assert device.counts.transport.address == elsewhere


@pytest.mark.parametrize(
    "change", [{"BiasCurrent": [1.0]}, {"BiasCurrent": "x"}, {"NumberOfDetectors": None}]
)
def test_labels_of_another_kind_are_the_instruments_mistake(detectors: Any, eos: Eos, change: dict[str, Any]):
    eos.labels.update(change)
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: labels of another kind"):
        detectors.trigger().wait(WAIT_S)


@pytest.mark.parametrize("line", [b"", b"1.6e9", b"1.6e9,1,x", b"1.6e9,1,-2", b"1.6e9,1,2.5"])
def test_lines_that_are_no_counts(line: bytes):
    with pytest.raises(RemoteProtocolError, match="clicks"):
        codec.counts(2).parse(line)


@pytest.mark.parametrize("on", [2, -1, 0.5, "on"])
def test_detectors_are_on_or_off(on: Any):
    with pytest.raises(LocalProtocolError, match="on or off"):
        codec.set_enabled(on)


def test_a_line_of_counts():
    assert codec.counts(2).parse(b"1600000000.25,17,4,0") == codec.Counts(1600000000.25, (17, 4))


@pytest.mark.parametrize(
    "build",
    [
        lambda: codec.set_bias_currents([0.0, 91.0]),
        lambda: codec.set_trigger_levels([float("nan")]),
        lambda: codec.set_period(0.009),
    ],
)
def test_codec_refuses_what_the_driver_does_not_have(build: Any):
    with pytest.raises(LocalProtocolError):
        build()
