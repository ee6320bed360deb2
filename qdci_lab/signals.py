"""Ophyd signals of an instrument's quantities: units, limits and precision once, and no I/O inside `read`.

Together with `qdci_lab.device` this is all that knows classic ophyd's insides.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ophyd import Component, Signal
from ophyd.status import Status
from ophyd.utils import LimitError

from qdci_lab.errors import AcquisitionError, LocalProtocolError

WAIT_BEYOND_TIMEOUT_S = 5.0

Bounds = tuple[float, float]
Limits = Bounds | Callable[[Any], Bounds | None] | None


@dataclass(frozen=True)
class Quantity:
    """What a number means: its unit (`1` for a pure number), digits to print, bounds and smallest step.

    `element` is what one number of an array is called in an error, for example `channel`.
    """

    units: str
    precision: int = 3
    limits: Bounds | None = None
    resolution: float = 0.0
    element: str = "element"

    @property
    def suffix(self) -> str:
        """The unit as it is printed behind a number; nothing behind a pure number."""
        return "" if self.units == "1" else f" {self.units}"

    def check(self, name: str, value: float) -> None:
        """LimitError, with name, value, unit and bound, unless the value may be set."""
        unit = self.suffix
        if not math.isfinite(value):
            raise LimitError(f"{name}: {value}{unit} is not a finite number")
        if self.limits is None:
            return
        low, high = self.limits
        if not low <= value <= high:
            side, bound = ("below", low) if value < low else ("above", high)
            raise LimitError(
                f"{name}: {value:g}{unit} is {side} the bound of {bound:g}{unit} "
                f"(allowed: {low:g} to {high:g}{unit})"
            )


class TaskStatus(Status):
    """The status of work handed to an instrument's worker; `watch` feeds progress bars."""

    def __init__(self, obj: Any, *, timeout: float, name: str, units: str = "") -> None:
        super().__init__(obj=obj, timeout=timeout)
        self._name = name
        self._units = units
        self._watchers: list[Callable[..., None]] = []
        self._began_s = time.monotonic()

    def watch(self, function: Callable[..., None]) -> None:
        """Call `function` with name, current, initial, target, unit, fraction and times as the work goes on."""
        self._watchers.append(function)

    def progress(self, *, current: float, initial: float, target: float) -> None:
        """Tell the watchers how far the work has come."""
        span = target - initial
        done = 1.0 if span == 0 else min(max((current - initial) / span, 0.0), 1.0)
        elapsed_s = time.monotonic() - self._began_s
        for function in self._watchers:
            function(
                name=self._name, current=current, initial=initial, target=target, unit=self._units,
                precision=3, fraction=1.0 - done, time_elapsed=elapsed_s,
                time_remaining=elapsed_s * (1.0 - done) / done if done > 0 else None,
            )  # fmt: skip


class MeasuredSignal(Signal):
    """A quantity that an instrument reports.

    `get()` asks the instrument and waits; `read()` returns what was last measured, with the time it was measured.
    The parent device supplies `submit(work, ...)`, which runs work on the instrument's own thread.
    """

    def __init__(
        self,
        *,
        name: str,
        ask: Callable[[Any], Any] | None = None,
        quantity: Quantity | None = None,
        polled: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, value=None, **kwargs)
        self._ask = ask
        self._quantity = quantity
        self.polled = polled and ask is not None
        self._measured_s: float | None = None

    @property
    def quantity(self) -> Quantity | None:
        """Unit, precision and, where it can be set, bounds; None for text."""
        return self._quantity

    @property
    def instrument(self) -> Any:
        """The device that the quantity belongs to."""
        return self.parent

    @property
    def last(self) -> Any:
        """What was last measured, without I/O; None before the first time."""
        return self._readback

    @property
    def is_measured(self) -> bool:
        """Whether there is a value to read."""
        return self._measured_s is not None

    def answer_with(self, ask: Callable[[Any], Any], _tell: Callable[[Any, Any], None]) -> None:
        """Ask somebody else than the instrument from now on; what nobody is asked for stays as it is."""
        if self._ask is not None:
            self._ask = ask

    def _check_measured(self) -> None:
        if not self.is_measured:
            raise AcquisitionError(f"{self.name} has not been measured yet: trigger its device first")

    def refresh(self) -> Any:
        """Ask the instrument; only its worker calls this."""
        if self._ask is None:
            raise AcquisitionError(f"{self.name} is computed with its device's measurement: trigger that")
        value = self._ask(self.instrument)
        self.store(value)
        return value

    def store(self, value: Any) -> None:
        """Keep a measured value and the time."""
        self._measured_s = time.time()
        Signal.put(self, value, force=True, timestamp=self._measured_s)

    def get(self, **_kwargs: Any) -> Any:
        """The quantity now: asks the instrument and waits for its answer."""
        if self._ask is None:
            return self._readback
        status = self.instrument.submit(lambda _status: self.refresh(), name=self.name)
        status.wait(timeout=self.instrument.patience_s + WAIT_BEYOND_TIMEOUT_S)
        return self._readback

    def trigger(self) -> Status:
        """Measure it anew, for a plan that reads this quantity by itself."""
        if self._ask is None:
            return super().trigger()
        return self.instrument.submit(lambda _status: self.refresh(), name=self.name)

    def read(self) -> dict[str, dict[str, Any]]:
        """What was last measured, without I/O."""
        self._check_measured()
        return {self.name: {"value": self._readback, "timestamp": self._measured_s}}

    def describe(self) -> dict[str, dict[str, Any]]:
        """Type, shape, unit, precision and limits, without I/O; the first measurement decides type and shape."""
        self._check_measured()
        key: dict[str, Any] = {"source": f"instrument:{self.name}", **_type_of(self._readback)}
        if self.quantity is not None:
            key["units"] = self.quantity.units
            key["precision"] = self.quantity.precision
            if self.quantity.limits is not None:
                key["lower_ctrl_limit"], key["upper_ctrl_limit"] = self.quantity.limits
        return {self.name: key}


class ControlledSignal(MeasuredSignal):
    """A quantity that can be set; `set` ends when the instrument has really arrived.

    `tell(device, value)` sends the command and returns when the instrument says that it is done; the readback must
    then agree within half a step. Limits are checked before anything is sent (LimitError); `bounds(device)` gives
    them where the instrument decides, and `check(device, value)` raises for what limits cannot say.
    """

    def __init__(
        self,
        *,
        name: str,
        tell: Callable[[Any, Any], None],
        bounds: Callable[[Any], Bounds | None] | None = None,
        step: Callable[[Any], float] | None = None,
        check: Callable[[Any, Any], object] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self._tell = tell
        self._bounds = bounds
        self._step = step
        self._check = check
        self._wanted: Any = None

    @property
    def quantity(self) -> Quantity | None:
        """Unit, precision, the bounds and the instrument's step as they stand now."""
        quantity = self._quantity
        if quantity is not None and self._bounds is not None:
            quantity = replace(quantity, limits=self._bounds(self.instrument))
        if quantity is not None and self._step is not None:
            quantity = replace(quantity, resolution=self._step(self.instrument))
        return quantity

    def answer_with(self, ask: Callable[[Any], Any], tell: Callable[[Any, Any], None]) -> None:
        """Ask and tell somebody else than the instrument from now on; limits stay."""
        super().answer_with(ask, tell)
        self._tell = tell

    @property
    def limits(self) -> Any:
        """Lowest and highest value that may be set; (0, 0), as ophyd has it, where there is no bound."""
        return (self.quantity.limits if self.quantity else None) or (0.0, 0.0)

    def check_value(self, value: Any, **_kwargs: Any) -> None:
        """LimitError, with name, value, unit and bound, unless the value may be set."""
        quantity = self.quantity
        if quantity is not None:
            for index, number in enumerate(np.atleast_1d(value)):
                place = f", {quantity.element} {index + 1}" if np.ndim(value) else ""
                quantity.check(f"{self.name}{place}", _number(f"{self.name}{place}", number))
        if self._check is not None:
            try:
                self._check(self.instrument, value)
            except LocalProtocolError as error:
                raise LocalProtocolError(f"{self.name}: {error}") from error

    def set(self, value: Any, *, timeout: float | None = None, **_kwargs: Any) -> TaskStatus:
        """Send the value; the status is done when the instrument has arrived, or carries the reason why not."""
        self.check_value(value)
        units = self.quantity.units if self.quantity else ""
        return self.instrument.submit(
            lambda status: self.move(value, status), name=self.name, units=units, timeout=timeout
        )

    def trigger(self) -> Status:
        """Done at once: what setting it has read back is what a plan reads."""
        return Signal.trigger(self)

    def put(self, value: Any, **_kwargs: Any) -> None:
        """Set and wait."""
        self.set(value).wait(timeout=self.instrument.patience_s + WAIT_BEYOND_TIMEOUT_S)

    def move(self, value: Any, status: TaskStatus) -> None:
        """Tell, ask back and compare (AcquisitionError); only the instrument's worker calls this."""
        initial = self._readback
        self._wanted = value
        self._tell(self.instrument, value)
        arrived = self.refresh()
        self._check_arrival(value, arrived)
        self._wanted = None
        if isinstance(arrived, float) and isinstance(initial, float):
            status.progress(current=arrived, initial=initial, target=float(value))

    def difference(self, before: Any) -> str:
        """Ask for the value and say how it differs from `before`.

        Nothing where it does not, or where it is what a `set` wanted that ended without an answer.
        """
        now, wanted, self._wanted = self.refresh(), self._wanted, None
        if self._agrees(before, now) or (wanted is not None and self._agrees(wanted, now)):
            return ""
        units = self._quantity.suffix if self._quantity else ""
        return f"{self.name} was {before}{units} and is {now}{units}"

    def _agrees(self, wanted: Any, found: Any) -> bool:
        """Whether two values are the same within half a step."""
        quantity = self.quantity
        if quantity is None:
            return bool(found == wanted)
        wanted, found = np.asarray(wanted, dtype=float), np.asarray(found, dtype=float)
        if wanted.shape != found.shape:
            return False
        slack = max(0.5 * quantity.resolution * (1 + 1e-9), 1e-9 * float(np.max(np.abs(wanted), initial=0.0)))
        return bool(np.all((np.abs(found - wanted) <= slack) | (np.isnan(found) & np.isnan(wanted))))

    def _check_arrival(self, value: Any, arrived: Any) -> None:
        if not self._agrees(value, arrived):
            units = self._quantity.suffix if self._quantity else ""
            raise AcquisitionError(
                f"{self.name}: set to {value}{units}, but the instrument reports {arrived}{units}"
            )


def measured(
    ask: Callable[[Any], Any] | None,
    units: str | None,
    *,
    precision: int = 3,
    kind: str = "normal",
    polled: bool = True,
) -> Component:
    """An ophyd component for a quantity that is reported; `units` None is for text."""
    quantity = None if units is None else Quantity(units, precision)
    return Component(MeasuredSignal, ask=ask, quantity=quantity, kind=kind, polled=polled)


def controlled(
    ask: Callable[[Any], Any],
    tell: Callable[[Any, Any], None],
    units: str | None,
    *,
    precision: int = 3,
    limits: Limits = None,
    resolution: float | Callable[[Any], float] = 0.0,
    kind: str = "normal",
    check: Callable[[Any, Any], object] | None = None,
    element: str = "element",
) -> Component:
    """An ophyd component for a quantity that can be set; `resolution` is the instrument's own smallest step.

    `limits` are two numbers and `resolution` is one, or either is a function of the device where it depends on that;
    `check(device, value)` raises for a value that no instrument of this kind can take, for example a port that it does
    not have.
    """
    bounds, fixed = (limits, None) if callable(limits) else (None, limits)
    step, fixed_step = (resolution, 0.0) if callable(resolution) else (None, resolution)
    quantity = None if units is None else Quantity(units, precision, fixed, fixed_step, element)
    return Component(
        ControlledSignal,
        ask=ask,
        tell=tell,
        quantity=quantity,
        kind=kind,
        bounds=bounds,
        step=step,
        check=check,
    )


def switched(
    ask: Callable[[Any], Any], tell: Callable[[Any, Any], None], *, kind: str = "normal"
) -> Component:
    """An ophyd component for what is on (1, True) or off (0, False)."""
    return controlled(ask, tell, "1", precision=0, limits=(0.0, 1.0), kind=kind, check=_check_on_off)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise LimitError(f"{name}: {value!r} is no number") from error


def _check_on_off(device: Any, value: Any) -> None:
    if value not in (0, 1):
        raise LimitError(f"{device.name}: {value!r} is neither on (1, True) nor off (0, False)")


def _type_of(value: Any) -> Mapping[str, Any]:
    """The data key's type entries of a value."""
    if isinstance(value, bool | np.bool_):
        return {"dtype": "boolean", "shape": []}
    if isinstance(value, int | np.integer):
        return {"dtype": "integer", "shape": []}
    if isinstance(value, float | np.floating):
        return {"dtype": "number", "shape": []}
    if isinstance(value, str):
        return {"dtype": "string", "shape": []}
    array = np.asarray(value)
    return {"dtype": "array", "shape": list(array.shape), "dtype_numpy": array.dtype.str}
