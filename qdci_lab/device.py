"""The ophyd device of one instrument: one connection, one worker thread, cached readings, a safe state."""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, ClassVar, cast

from bluesky.protocols import Reading
from event_model import DataKey
from ophyd import Device, Kind
from ophyd.utils import InvalidState

from qdci_lab.clock import Clock, WallClock
from qdci_lab.connection import Conceal, Connection
from qdci_lab.errors import (
    Abandoned,
    AcquisitionError,
    LabError,
    RemoteProtocolError,
    SettingsChanged,
    TransportError,
    TransportTimeout,
)
from qdci_lab.signals import ControlledSignal, MeasuredSignal, TaskStatus, measured
from qdci_lab.transport.pipe import Transport, open_pipe
from qdci_lab.units import seconds_to_ps
from qdci_lab.wire.framing import Framing, ScpiFraming
from qdci_lab.wire.scpi import IDENTITY, OPERATION_COMPLETE

Work = Callable[[TaskStatus], object]

COMPLETION_POLL_S = 0.02


class Worker:
    """Runs the work of one instrument in order, on one daemon thread: a hung call keeps no process alive."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.SimpleQueue[tuple[Work, TaskStatus]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def submit(self, work: Work, status: TaskStatus) -> None:
        """Queue work; its status is finished, or fails with what the work raised."""
        self._queue.put((work, status))
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"worker of {self._name}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            work, status = self._queue.get()
            if not status.done:
                self._settle(work, status)

    @staticmethod
    def _settle(work: Work, status: TaskStatus) -> None:
        try:
            work(status)
        except Abandoned:
            # bluesky drops the point and rewinds, but would take a failure of the dropped status for the plan's.
            _finish(status, None)
        except Exception as error:
            _finish(status, error)
        else:
            _finish(status, None)


def _finish(status: TaskStatus, error: Exception | None) -> None:
    """Finish a status; one that has timed out meanwhile stays as it is."""
    with contextlib.suppress(InvalidState):
        if error is None:
            status.set_finished()
        else:
            status.set_exception(error)


class LabDevice(Device):
    """Whatever the lab can connect, trigger, set and bring into a safe state, with a worker of its own.

    `read` and `describe` return what the last `trigger` or `set` measured and do no I/O; a signal's `get()` asks the
    instrument. Subclasses say how they are reached, declare signals and give a safe state. `label` is the role in
    the lab, such as `alice.voa`, by which errors name the device; `name` prefixes its data keys.
    """

    MODEL: ClassVar[str] = ""
    IDENTITY_CONTAINS: ClassVar[str] = ""

    identity = measured(lambda device: device.identify(), None, kind="config", polled=False)

    def __init__(
        self,
        address: str,
        *,
        name: str,
        label: str = "",
        clock: Clock | None = None,
        timeout_s: float = 2.0,
        **kwargs: Any,
    ) -> None:
        self.address = address
        self.label = label or name
        self.clock: Clock = WallClock() if clock is None else clock
        self.timeout_s = timeout_s
        self._worker = Worker(name)
        super().__init__("", name=name, **kwargs)

    @property
    def patience_s(self) -> float:
        """How long work on the instrument may take before its status fails; longer than any one reply."""
        return 10.0 * self.timeout_s + 20.0

    def open_link(self) -> None:
        """Reach the instrument; nothing to do by default."""

    def close_link(self) -> None:
        """Leave the instrument; nothing to do by default."""

    def identify(self) -> str:
        """What the instrument calls itself; its model by default."""
        return self.MODEL

    def reach(self) -> None:
        """Open the link, check the identity and prepare the instrument. Blocks; LabError says what is wrong."""
        self.open_link()
        self._check_model(self.get_acquainted())
        self.prepare_instrument()

    def connect(self) -> None:
        """Reach the instrument and read every quantity once. Blocks; LabError says what is wrong."""
        self.reach()
        self.refresh()

    def get_acquainted(self) -> str:
        """Ask for the identity and keep it."""
        return self.identity.refresh()

    def restore(self) -> None:
        """Make sure, after the link was lost, that the instrument behind it is the same, and prepare it anew.

        Settings that it has lost meanwhile are not put back, for nobody knows what else has changed: SettingsChanged
        names them, and from then on they are as the instrument says. RemoteProtocolError for another instrument.
        """
        known, identity = self.identity.last, self.identify()
        self._check_model(identity)
        if known is not None and identity != known:
            raise RemoteProtocolError(
                f"{self.label}: {known!r} was at {self.address}, now there is {identity!r}; connect() accepts it"
            )
        settings = [(signal, signal.last) for signal in self.controls() if signal.is_measured]
        self.prepare_instrument()
        changes = [change for signal, before in settings if (change := signal.difference(before))]
        if changes:
            raise SettingsChanged(
                f"{self.label}: after the link was lost the settings are others: {'; '.join(changes)}"
            )

    def _check_model(self, identity: str) -> None:
        if self.IDENTITY_CONTAINS not in identity:
            raise RemoteProtocolError(
                f"{self.label}: expected a {self.MODEL}, but the instrument at {self.address} says {identity!r}"
            )

    def prepare_instrument(self) -> None:
        """Bring the instrument's error queue and modes to a known state after connecting; nothing by default."""

    def recall(self) -> None:
        """Called instead of `prepare_instrument` where a recording answers, with every recorded quantity stored."""

    def disconnect(self) -> None:
        """Close the link."""
        with contextlib.suppress(LabError):
            self.close_link()

    def submit(
        self, work: Work, *, name: str = "", units: str = "", timeout: float | None = None
    ) -> TaskStatus:
        """Run work on the instrument's thread; the status always ends within `timeout` (default: `patience_s`)."""
        limit_s = self.patience_s if timeout is None else timeout
        status = TaskStatus(self, timeout=limit_s, name=name or self.name, units=units)
        self._worker.submit(work, status)
        return status

    def refresh(self) -> None:
        """Ask for every polled quantity; only the worker, or `connect`, calls this."""
        for signal in self.quantities():
            if signal.polled:
                signal.refresh()

    def quantities(self) -> list[MeasuredSignal]:
        """The device's signals, in their order."""
        walked = (item.item for item in self.walk_signals())
        return [signal for signal in walked if isinstance(signal, MeasuredSignal)]

    def controls(self) -> list[ControlledSignal]:
        """The quantities that can be set."""
        return [signal for signal in self.quantities() if isinstance(signal, ControlledSignal)]

    def read(self) -> dict[str, Reading[Any]]:
        """What was last measured, without I/O."""
        return cast("dict[str, Reading[Any]]", super().read())

    def describe(self) -> dict[str, DataKey]:
        """Type, shape and unit of what `read` returns."""
        return cast("dict[str, DataKey]", super().describe())

    def read_configuration(self) -> dict[str, Reading[Any]]:
        """The settings that seldom change, as last read."""
        return cast("dict[str, Reading[Any]]", super().read_configuration())

    def describe_configuration(self) -> dict[str, DataKey]:
        """Type, shape and unit of what `read_configuration` returns."""
        return cast("dict[str, DataKey]", super().describe_configuration())

    @property
    def is_measured(self) -> bool:
        """Whether all that an event takes of the device can be read, or must be triggered first."""
        return all(signal.is_measured for signal in self.quantities() if signal.kind & Kind.normal)

    def trigger(self) -> TaskStatus:
        """Measure every quantity anew."""
        return self.submit(lambda _status: self.refresh())

    def enter_safe_state(self) -> None:
        """Shutters closed, light off; runs on the worker. Nothing to do by default."""

    def make_safe(self) -> TaskStatus:
        """Bring the instrument into its safe state."""
        return self.submit(lambda _status: self._be_safe())

    def _be_safe(self) -> None:
        """A link that was lost unnoticed keeps nothing from its safe state: it is entered over a new one."""
        try:
            self._be_safe_whatever_changed()
        except TransportTimeout:
            raise
        except TransportError:
            self._be_safe_whatever_changed()

    def _be_safe_whatever_changed(self) -> None:
        try:
            self.enter_safe_state()
        except SettingsChanged:
            self.enter_safe_state()

    def stop(self, *, success: bool = False) -> None:
        """Called when a run fails: the safe state is entered, without waiting for it."""
        if not success:
            self.make_safe()


class Instrument(LabDevice):
    """An instrument on a wire: a byte pipe, and a framing that subclasses name together with their model."""

    BAUD_RATE: ClassVar[int] = 9600
    RTS_CTS: ClassVar[bool] = False

    def __init__(self, address: str, *, transport: Transport | None = None, **kwargs: Any) -> None:
        super().__init__(address, **kwargs)
        self.connection = self._connect_to(address, transport)
        self.connection.restore = self.restore

    def make_framing(self) -> Framing:
        """How this model separates its messages; SCPI unless a driver says otherwise."""
        return ScpiFraming()

    def find_concealment(self) -> Conceal | None:
        """What gives the part of a message that logs and errors may show; None, as for most models: all of it."""
        return None

    def open_link(self) -> None:
        """Open the connection."""
        self.connection.open()

    def close_link(self) -> None:
        """Close the connection."""
        self.connection.close()

    def get_acquainted(self) -> str:
        """Ask for the identity and keep it, as what the instrument is known by on its line too."""
        with self.connection.identifying():
            return super().get_acquainted()

    def identify(self) -> str:
        """What the instrument calls itself."""
        return self.connection.query(IDENTITY)

    def await_completion(self, *, within_s: float | None = None) -> None:
        """Ask `*OPC?` until it says 1: some instruments hold the answer back while they are busy, others say 0.

        AcquisitionError when they are still busy after `within_s` of the lab's time (default: `timeout_s`).
        """
        limit_s = self.timeout_s if within_s is None else within_s
        end_ps = self.clock.now_ps() + seconds_to_ps(limit_s)
        while not self.connection.query(OPERATION_COMPLETE, timeout_s=limit_s + self.timeout_s):
            if self.clock.now_ps() >= end_ps:
                raise AcquisitionError(f"{self.label}: still busy after {limit_s:g} s")
            self.clock.sleep(COMPLETION_POLL_S)

    def _connect_to(self, address: str, transport: Transport | None) -> Connection:
        conceal = self.find_concealment()
        pipe = transport or open_pipe(
            address,
            baud_rate=self.BAUD_RATE,
            rts_cts=self.RTS_CTS,
            timeout_s=self.timeout_s,
            conceal=conceal,
        )
        return Connection(self.label, pipe, self.make_framing(), timeout_s=self.timeout_s, conceal=conceal)
