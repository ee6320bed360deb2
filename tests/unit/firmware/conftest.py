"""A component that has any setting it is given, for instruments whose optics the twin does not have."""

from collections.abc import Callable, Mapping

import pytest

from qdci_lab.units import seconds_to_ps
from sim_devices.twin.lab_time import LabTime
from sim_devices.twin.timeline import Timeline


class HeldComponent:
    """Keeps settings on timelines as the twin does; observables are functions of the settings that hold now."""

    def __init__(self) -> None:
        self._lab_time = LabTime()
        self._timelines: dict[str, Timeline] = {}
        self.observables: dict[str, Callable[[Mapping[str, object]], float]] = {}

    @property
    def lab_time(self) -> LabTime:
        return self._lab_time

    def apply(self, *, over_s: float = 0.0, after_s: float = 0.0, **settings: object) -> None:
        now_ps = self._lab_time.now_ps()
        for name, value in settings.items():
            timeline = self._timelines.setdefault(name, Timeline(value))
            if over_s > 0:
                timeline.ramp(value, now_ps + seconds_to_ps(after_s), seconds_to_ps(over_s), now_ps)
            else:
                timeline.set(value, now_ps + seconds_to_ps(after_s), now_ps)

    def setting(self, name: str) -> object:
        return self._timelines[name].at(self._lab_time.now_ps())[0]

    def sense(self, quantity: str, average_s: float = 0.0) -> float:
        del average_s
        return self.observables[quantity]({name: self.setting(name) for name in self._timelines})


@pytest.fixture
def held() -> HeldComponent:
    return HeldComponent()
