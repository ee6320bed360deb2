"""Single Quantum EOS: the driver of a rack of superconducting nanowire detectors, over TCP.

Reference: the maker's WebSQ client. On the control port the client sends JSON objects back to back and the driver
answers with objects that each end with the byte 0x17; the first question is for `labelProps`, which brings every label
with its value, bounds and unit; a label with `Error` in its name reports a mistake. On the counts port, 345 above the
control port (12345 and 12000), a line `unixtime,c1,c2,...` comes after every measurement period.

A line of counts comes when a measurement period of lab time has passed since the one before; the first one at once,
for the period before it. For a client that waits in vain, because nobody lets lab time pass, a period passes. A scan
and the automatic bias let lab time pass before their answer, which brings the whole story at once: the maker's client
waits for the end without asking again.
Assumed: bounds, defaults and the units' spelling; the bias voltage is that of 100 kOhm; commands are confirmed with
their label to everybody, with the next answer at the latest; the automatic bias tries steps of 0.5 uA for 100 ms each
and keeps the largest current before the first that counts too much; a scan takes a measurement period a point; the
temperature is constant; lab time begins on 2024-01-01.
"""

import json
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from qdci_lab.units import PS_PER_S, ps_to_seconds, seconds_to_ps
from sim_devices.firmware.json_objects import JsonObjectFramer
from sim_devices.firmware.session import ExtraPort
from sim_devices.firmware.single_quantum_eos_labels import LABELS, Labels, Rejected, Value
from sim_devices.firmware.sockets import connect
from sim_devices.twin.handle import ComponentHandle

START = datetime(2024, 1, 1, tzinfo=UTC)
END = b"\x17"
COUNTS_PORT_OFFSET = 345
PATIENCE_PULLS = 250
BIAS_KOHM = 100.0
AUTO_STEP_UA, AUTO_POINT_S = 0.5, 0.1
AUTO_LAST_UA = 40.0
TEMPERATURE_K, BOARD_C = 2.5, 35.0
_COMMAND_LABELS = {
    "SetMeasurementPeriod": "InptMeasurementPeriod",
    "SetAllBiasCurrents": "BiasCurrent",
    "SetAllTriggerLevels": "TriggerLevel",
}


@dataclass(frozen=True)
class _Bias:
    """What the detectors are driven with."""

    currents_ua: tuple[float, ...]
    levels_mv: tuple[float, ...]
    enabled: bool


class SingleQuantumEos:
    """Socket "detectors". Remembers the labels; the detectors' own state stands in the twin."""

    MODEL = "Single Quantum EOS"

    def __init__(
        self,
        components: Mapping[str, ComponentHandle],
        *,
        serial_number: str,
        detectors: int = 4,
    ) -> None:
        if detectors < 1:
            raise ValueError(f"detectors = {detectors}: there must be at least one")
        self._detectors = connect(components, ["detectors"])["detectors"]
        self._lab_time = self._detectors.lab_time
        self._lock = threading.RLock()
        self._labels = Labels(detectors, serial_number)
        self._listeners: weakref.WeakSet[EosSession] = weakref.WeakSet()
        self._drive(self._bias())
        self.extra_ports: Mapping[str, ExtraPort] = {
            "counts": ExtraPort(COUNTS_PORT_OFFSET, lambda: CountsSession(self))
        }

    def session(self) -> "EosSession":
        """A connection to the control port; all connections share the instrument."""
        return EosSession(self)

    def answer(self, text: bytes, session: "EosSession") -> None:
        """Carry out one message; what there is to say is put into the sessions that listen."""
        with self._lock:
            try:
                message = json.loads(text)
                if isinstance(message.get("command"), str):
                    self._command(message["command"], message.get("value"))
                elif isinstance(message.get("request"), str):
                    session.say(self._reply(message["request"], message.get("value")))
                else:
                    raise Rejected("neither a command nor a request")
            except ValueError as error:
                session.say(_message("ErrorMessage", f"not understood: {error}"))
            except Rejected as error:
                session.say(_message("ErrorMessage", str(error)))

    def listen(self, session: "EosSession") -> None:
        """Let a session hear what changes, as long as it lives."""
        with self._lock:
            self._listeners.add(session)

    def count(self, since_ps: int | None, *, wait: bool) -> tuple[bytes, int | None]:
        """The line of counts after that of `since_ps` of lab time, and its own time; b"" while it is not due."""
        with self._lock:
            period_s = self._period_s()
            due_ps = 0 if since_ps is None else since_ps + seconds_to_ps(period_s)
            if self._lab_time.now_ps() < due_ps and not wait:
                return b"", since_ps
            at_ps = self._lab_time.advance_to(due_ps)
            counts = [round(rate_hz * period_s) for rate_hz in self._rates_hz(period_s)]
            return ",".join((f"{self._unix_time():.3f}", *map(str, counts))).encode() + b"\n", at_ps

    def _reply(self, request: str, value: object) -> bytes:
        if request == "labelProps":
            known = self._labels.properties()
            wanted = [value] if isinstance(value, str) and value in known else known
            return b"".join(_message(name, known[name]) for name in map(str, wanted))
        if request == "IVHistory":
            return self._told("ic_scan_history", "iv_scan_history")
        if request == "TemperatureHistory":
            return _message("temperature_long_memory", self._temperatures())
        if request not in LABELS:
            raise Rejected(f"unknown request {request}")
        return self._told(request)

    def _command(self, command: str, value: object) -> None:
        actions: Mapping[str, Callable[[], None]] = {
            "AutoCaliBiasCurrents": lambda: self._when(value, self._calibrate),
            "StartAutoIV": lambda: self._when(value, self._calibrate),
            "IVScanEnable": lambda: self._when(value, self._scan),
        }
        if command in actions:
            actions[command]()
            return
        name = _COMMAND_LABELS.get(command, command)
        self._labels.set(name, value)
        if name in ("BiasCurrent", "TriggerLevel", "DetectorEnable"):
            self._drive(self._bias())
            self._labels.put("BiasVoltage", [current * BIAS_KOHM for current in self._bias().currents_ua])
        self._tell(name)

    def _when(self, value: object, action: Callable[[], None]) -> None:
        if not isinstance(value, bool):
            raise Rejected(f"{value!r} is neither true nor false")
        if value:
            action()

    def _calibrate(self) -> None:
        """Find each detector's bias current for the dark counts that DarkCountsAutoIV asks for."""
        self._labels.put("StartAutoIV", True)
        self._tell("StartAutoIV")
        targets_hz = self._labels.numbers("DarkCountsAutoIV")
        bias = self._bias()
        found: list[float | None] = [None] * len(targets_hz)
        steps = round(AUTO_LAST_UA / AUTO_STEP_UA)
        for step in range(1, steps + 1):
            current_ua = step * AUTO_STEP_UA
            self._drive(_Bias((current_ua,) * len(found), bias.levels_mv, enabled=True))
            self._lab_time.advance_by(seconds_to_ps(AUTO_POINT_S))
            for index, rate_hz in enumerate(self._rates_hz(AUTO_POINT_S)):
                if found[index] is None and rate_hz > targets_hz[index]:
                    found[index] = current_ua - AUTO_STEP_UA
            if None not in found:
                break
        currents_ua = [AUTO_LAST_UA if current is None else current for current in found]
        self._labels.put("BiasCurrentAutoIV", currents_ua)
        self._command("SetAllBiasCurrents", currents_ua)
        self._labels.put("StartAutoIV", False)
        self._tell("BiasCurrentAutoIV", "StartAutoIV")

    def _scan(self) -> None:
        """Counts and voltages from IVScanStart to IVScanEnd."""
        first, last, step = (self._labels.number(f"IVScan{name}") for name in ("Start", "End", "Increment"))
        if step == 0 or (last - first) / step < 0 or (last - first) / step > 10_000:
            raise Rejected("IVScanIncrement does not lead from IVScanStart to IVScanEnd")
        bias, period_s = self._bias(), self._period_s()
        counts: list[dict[str, float]] = []
        voltages: list[dict[str, float]] = []
        for index in range(int((last - first) / step + 1e-9) + 1):
            current_ua = round(first + index * step, 6)
            self._drive(_Bias((current_ua,) * len(bias.currents_ua), bias.levels_mv, enabled=True))
            self._lab_time.advance_by(seconds_to_ps(period_s))
            rates_hz = self._rates_hz(period_s)
            counts.append(
                {"biasCurrent": current_ua} | _numbered("y", [rate * period_s for rate in rates_hz])
            )
            volts = [current_ua * BIAS_KOHM] * len(rates_hz)
            voltages.append({"biasCurrent": current_ua} | _numbered("v", volts))
        self._drive(bias)
        self._labels.put("ic_scan_history", counts)
        self._labels.put("iv_scan_history", voltages)
        self._tell("ic_scan_history", "iv_scan_history", "IVScanEnable")

    def _temperatures(self) -> list[dict[str, object]]:
        """The last ten minutes, a point a minute."""
        now = START + timedelta(seconds=ps_to_seconds(self._lab_time.now_ps()))
        point: dict[str, object] = {
            "T": TEMPERATURE_K,
            "T2": 40.0,
            "V_avrg": 1.6,
            "BoardTemp1": BOARD_C,
            "BoardTemp2": BOARD_C,
        }
        times = [now - timedelta(minutes=minutes) for minutes in range(9, -1, -1)]
        return [point | {"x": f"{time:%d-%b-%y %H:%M:%S.%f}"} for time in times]

    def _tell(self, *names: str) -> None:
        for listener in list(self._listeners):
            listener.say(self._told(*names))

    def _told(self, *names: str) -> bytes:
        return b"".join(_message(name, self._labels.get(name)) for name in names)

    def _bias(self) -> _Bias:
        return _Bias(
            tuple(self._labels.numbers("BiasCurrent")),
            tuple(self._labels.numbers("TriggerLevel")),
            enabled=self._labels.get("DetectorEnable") is True,
        )

    def _drive(self, bias: _Bias) -> None:
        self._detectors.apply(bias_ua=bias.currents_ua, trigger_mv=bias.levels_mv, enabled=bias.enabled)

    def _rates_hz(self, average_s: float) -> list[float]:
        numbers = range(1, len(self._labels.numbers("BiasCurrent")) + 1)
        return [self._detectors.sense(f"count_rate_hz:{number}", average_s) for number in numbers]

    def _period_s(self) -> float:
        return self._labels.number("InptMeasurementPeriod") / 1000

    def _unix_time(self) -> float:
        return START.timestamp() + self._lab_time.now_ps() / PS_PER_S


class EosSession:
    """A client of the control port: its input buffer, and what it has still to hear."""

    def __init__(self, instrument: SingleQuantumEos) -> None:
        self._instrument = instrument
        self._framer = JsonObjectFramer()
        self._unsaid = bytearray()
        instrument.listen(self)

    def feed(self, data: bytes) -> bytes:
        """Take bytes in any chunking, carry out every message that is complete, return what there is to say."""
        for text in self._framer.feed(data):
            self._instrument.answer(text, self)
        said, self._unsaid = bytes(self._unsaid), bytearray()
        return said

    def say(self, message: bytes) -> None:
        """Add to what the next answer brings."""
        self._unsaid += message


class CountsSession:
    """A client of the counts port: it says nothing and gets a line whenever it has read the one before.

    Lab time passes for it after PATIENCE_PULLS looks, a quarter of a second as a rule.
    """

    def __init__(self, instrument: SingleQuantumEos) -> None:
        self._instrument = instrument
        self._last_ps: int | None = None
        self._pulls = 0

    def feed(self, data: bytes) -> bytes:
        """Ignore what the client sends."""
        del data
        return b""

    def pull(self) -> bytes:
        """The next line, or nothing while it is not due."""
        self._pulls += 1
        line, self._last_ps = self._instrument.count(self._last_ps, wait=self._pulls > PATIENCE_PULLS)
        if line:
            self._pulls = 0
        return line


def _message(label: str, value: Value | Mapping[str, object] | list[dict[str, object]]) -> bytes:
    return json.dumps({"label": label, "value": value}).encode() + END


def _numbered(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}{number}": value for number, value in enumerate(values, 1)}
