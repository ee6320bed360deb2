"""Settings as functions of lab time: what held when, and from when on."""

import bisect
from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np

T = TypeVar("T")
RAMP_STEPS = 16
"""A ramp is this many constant steps, each at the ramp's value in the middle of it (assumed fine enough)."""


def same_value(one: object, other: object) -> bool:
    """Equality that looks into tuples and arrays."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return one is other or (
            isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.array_equal(one, other)
        )
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same_value, one, other))
    return type(one) is type(other) and one == other


class Timeline:
    """One setting's history and future: a piecewise constant function of lab time."""

    def __init__(self, value: object) -> None:
        self._starts: list[int] = [0]
        self._values: list[object] = [value]

    def at(self, time_ps: int) -> tuple[object, int, int | None]:
        """The value at `time_ps`, since when it holds, and the time of the next change if one is known."""
        index = max(0, bisect.bisect_right(self._starts, time_ps) - 1)
        following = self._starts[index + 1] if index + 1 < len(self._starts) else None
        return self._values[index], self._starts[index], following

    def set(self, value: object, from_ps: int, now_ps: int) -> None:
        """Let `value` hold from `from_ps` (not before `now_ps`) on; everything planned after now is forgotten."""
        self._forget_future(now_ps)
        self._append(value, max(from_ps, now_ps))

    def ramp(self, value: object, from_ps: int, over_ps: int, now_ps: int) -> None:
        """Move linearly from the value that holds at `now_ps` to `value`, between `from_ps` and `from_ps + over_ps`."""
        first = self.at(now_ps)[0]
        steps = min(RAMP_STEPS, max(1, over_ps))
        values = [_between(first, value, (step + 0.5) / steps) for step in range(steps)]
        self._forget_future(now_ps)
        from_ps = max(from_ps, now_ps)
        for step in range(steps):
            self._append(values[step], from_ps + over_ps * step // steps)
        self._append(value, from_ps + over_ps)

    def forget_before(self, time_ps: int) -> None:
        """Drop what ended before `time_ps`."""
        index = bisect.bisect_right(self._starts, time_ps) - 1
        if index > 0:
            del self._starts[:index], self._values[:index]

    def _forget_future(self, now_ps: int) -> None:
        index = max(1, bisect.bisect_right(self._starts, now_ps))
        del self._starts[index:], self._values[index:]

    def _append(self, value: object, from_ps: int) -> None:
        if self._starts[-1] >= from_ps and len(self._starts) > 1:
            self._starts.pop()
            self._values.pop()
        if same_value(self._values[-1], value):
            return
        if self._starts[-1] >= from_ps:
            self._values[-1] = value
            return
        self._starts.append(from_ps)
        self._values.append(value)


def _between(first: object, last: object, share: float) -> object:
    if isinstance(first, tuple) and isinstance(last, tuple):
        return tuple(_between(a, b, share) for a, b in zip(first, last, strict=True))
    if isinstance(first, float) and isinstance(last, float):
        return first + (last - first) * share
    raise ValueError(f"only numbers can be ramped, not {first!r} to {last!r}")


class Settings(Mapping[str, object]):
    """A component's settings at one instant, and since when each of them holds."""

    def __init__(
        self,
        values: Mapping[str, object],
        since_ps: Mapping[str, int],
        step: int = 0,
        calibration_step: int = 0,
    ) -> None:
        self._values = dict(values)
        self._since_ps = dict(since_ps)
        self.step = step
        """Number of the drift step, for components that drift."""
        self.calibration_step = calibration_step
        """The same for components whose calibration drifts."""

    def __getitem__(self, name: str) -> object:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def same_as(self, other: "Settings") -> bool:
        """Whether these are the very same values since the very same times."""
        return (
            self.step == other.step
            and self.calibration_step == other.calibration_step
            and self._since_ps == other._since_ps
            and all(value is other._values[name] for name, value in self._values.items())
        )

    def since_ps(self, name: str) -> int:
        """Lab time at which the present value of `name` came to hold."""
        return self._since_ps[name]

    def number(self, name: str) -> float:
        """A setting that is a number."""
        value = self._values[name]
        if not isinstance(value, float):
            raise ValueError(f"setting {name} is {value!r}, not a number")
        return value

    def flag(self, name: str) -> bool:
        """A setting that is on or off."""
        return self._values[name] is True

    def of(self, name: str, kind: type[T]) -> T:
        """A setting of a known type."""
        value = self._values[name]
        if not isinstance(value, kind):
            raise ValueError(f"setting {name} is {value!r}, not {kind}")
        return value
