"""Single Quantum EOS: the driver of superconducting nanowire detectors, at its two TCP ports.

Reference: the maker's public Python client (WebSQ), control at port 12000, counts at port 12345. Assumed: where the
control port has another number, the counts port stands as far above it; a setting is in effect within 2 s, bias
currents have steps of at most 0.1 uA, and trigger levels of at most 1 mV.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from ophyd.utils import LimitError

from drivers.detector import single_quantum_eos_codec as codec
from qdci_lab.connection import Connection
from qdci_lab.device import Instrument
from qdci_lab.signals import controlled, measured, switched
from qdci_lab.transport.memory import MemoryTransport
from qdci_lab.transport.pipe import Transport, open_pipe
from qdci_lab.units import seconds_to_ps
from qdci_lab.wire.framing import Framing, LineFraming
from qdci_lab.wire.json_stream import JsonFraming
from qdci_lab.wire.message import Command, Report

COUNTS_PORT_ABOVE_CONTROL = 12345 - 12000
SETTLING_S = 2.0
POLL_S = 0.1
LATENESS_S = 0.001
RESOLUTION_BIAS_UA, RESOLUTION_TRIGGER_MV, RESOLUTION_PERIOD_S = 0.1, 1.0, 0.001

_RECORDING = re.compile(r"(replay:.*)(\.wire)")
_PORT = re.compile(r"(TCPIP\d*::[^:]+::|socket://[^:/]+:)(\d+)(::SOCKET)?", re.IGNORECASE)


class SingleQuantumEos(Instrument):
    """Detectors, each with a bias current and a trigger level; all are enabled together.

    Clicks come from a port of their own, `counts_address`; when it is not given it is 345 above the control port. It
    is open only while clicks are counted. A measurement takes two periods: the first line may have begun before its
    settings. The bias currents stay as they are in the safe state: they do no harm.
    """

    MODEL = "Single Quantum EOS"
    IDENTITY_CONTAINS = "detectors"

    bias_currents = controlled(
        lambda device: device.ask_settings().bias_currents_ua,
        lambda device, currents_ua: device.apply_bias_currents(currents_ua),
        "uA",
        limits=(-codec.MAX_BIAS_UA, codec.MAX_BIAS_UA),
        resolution=RESOLUTION_BIAS_UA,
        check=lambda device, currents_ua: device.check_one_each("bias_currents", currents_ua),
        element="detector",
    )
    trigger_levels = controlled(
        lambda device: device.ask_settings().trigger_levels_mv,
        lambda device, levels_mv: device.apply_trigger_levels(levels_mv),
        "mV",
        limits=(-codec.MAX_TRIGGER_MV, codec.MAX_TRIGGER_MV),
        resolution=RESOLUTION_TRIGGER_MV,
        check=lambda device, levels_mv: device.check_one_each("trigger_levels", levels_mv),
        element="detector",
        kind="config",
    )
    enabled = switched(lambda device: device.ask_settings().enabled, lambda device, on: device.enable(on))
    measurement_period = controlled(
        lambda device: device.ask_settings().period_s,
        lambda device, period_s: device.choose_period(period_s),
        "s",
        limits=codec.PERIOD_RANGE_S,
        resolution=RESOLUTION_PERIOD_S,
        kind="config",
    )
    count_rates = measured(lambda device: device.count(), "Hz", precision=1, kind="hinted")

    def __init__(self, address: str, *, counts_address: str = "", **kwargs: Any) -> None:
        super().__init__(address, **kwargs)
        self.counts_address = counts_address or _same_host(address)
        self.counts = Connection(
            f"{self.label} counts", self._counts_pipe(), LineFraming(), timeout_s=self.timeout_s
        )
        self._settings: codec.Settings | None = None

    @property
    def patience_s(self) -> float:
        """Longer than a measurement at the period that is set."""
        period_s = self._settings.period_s if self._settings else 0.0
        return super().patience_s + 4.0 * period_s

    def make_framing(self) -> Framing:
        """JSON objects, each reply ended by a separator."""
        return JsonFraming()

    def close_link(self) -> None:
        """Close both connections."""
        self.counts.close()
        super().close_link()

    def identify(self) -> str:
        """The model with the number of its detectors, which only such a driver has."""
        return f"{self.MODEL}, {self.ask_settings().detectors} detectors"

    def check_one_each(self, name: str, values: Sequence[float]) -> None:
        """LimitError unless there is a number for each detector."""
        detectors = len(self._settings.bias_currents_ua) if self._settings else len(values)
        if len(values) != detectors:
            raise LimitError(
                f"{self.name}_{name}: {len(values)} numbers, but there are {detectors} detectors"
            )

    def refresh(self) -> None:
        """All settings in one request, then the clicks."""
        present = self.ask_settings()
        self.bias_currents.store(present.bias_currents_ua)
        self.trigger_levels.store(present.trigger_levels_mv)
        self.enabled.store(present.enabled)
        self.measurement_period.store(present.period_s)
        self.count_rates.refresh()

    def ask_settings(self) -> codec.Settings:
        """Ask for all labels; only the worker calls this."""
        self._settings = self.connection.query(codec.settings())
        return self._settings

    def count(self) -> tuple[float, ...]:
        """Clicks a second of each detector over one whole measurement period; only the worker calls this."""
        present = self._settings or self.ask_settings()
        report = codec.counts(present.detectors)
        self.counts.open()
        try:
            _begun_before, whole = (self._next_counts(report, present.period_s) for _ in range(2))
        finally:
            self.counts.close()
        return tuple(clicks / present.period_s for clicks in whole.clicks)

    def apply_bias_currents(self, currents_ua: Sequence[float]) -> None:
        """Set the bias currents, in uA; only the worker calls this."""
        wanted = tuple(float(current) for current in currents_ua)
        self._apply(
            codec.set_bias_currents(wanted),
            lambda present: _near(present.bias_currents_ua, wanted, RESOLUTION_BIAS_UA),
        )

    def apply_trigger_levels(self, levels_mv: Sequence[float]) -> None:
        """Set the trigger levels, in mV; only the worker calls this."""
        wanted = tuple(float(level) for level in levels_mv)
        self._apply(
            codec.set_trigger_levels(wanted),
            lambda present: _near(present.trigger_levels_mv, wanted, RESOLUTION_TRIGGER_MV),
        )

    def enable(self, on: bool) -> None:
        """Switch all bias currents on or off; only the worker calls this."""
        self._apply(codec.set_enabled(on), lambda present: present.enabled == bool(on))

    def choose_period(self, period_s: float) -> None:
        """Set the measurement period; only the worker calls this."""
        self._apply(
            codec.set_period(period_s),
            lambda present: _near((present.period_s,), (period_s,), RESOLUTION_PERIOD_S),
        )

    def _apply(self, command: Command, is_in_effect: Callable[[codec.Settings], bool]) -> None:
        """Send a command, which has no reply, and ask until it is in effect or the time is over."""
        self.connection.command(command)
        end_ps = self.clock.now_ps() + seconds_to_ps(SETTLING_S)
        while not is_in_effect(self.ask_settings()) and self.clock.now_ps() < end_ps:
            self.clock.sleep(POLL_S)

    def _next_counts(self, report: Report[codec.Counts], period_s: float) -> codec.Counts:
        self.clock.sleep(period_s + LATENESS_S)
        return self.counts.listen(report, timeout_s=period_s + self.timeout_s)

    def _counts_pipe(self) -> Transport:
        """The pipe of the counts; a silent one where an address tells nothing of a host."""
        if not self.counts_address:
            return MemoryTransport(lambda _data: b"")
        return open_pipe(self.counts_address, timeout_s=self.timeout_s)


def _same_host(address: str) -> str:
    """The counts port of the host of a control port, or its recording; nothing for another kind of address."""
    if recording := _RECORDING.fullmatch(address):
        return f"{recording[1]}.counts{recording[2]}"
    match = _PORT.fullmatch(address)
    return f"{match[1]}{int(match[2]) + COUNTS_PORT_ABOVE_CONTROL}{match[3] or ''}" if match else ""


def _near(found: Sequence[float], wanted: Sequence[float], step: float) -> bool:
    return all(abs(one - other) <= 0.5 * step for one, other in zip(found, wanted, strict=True))
