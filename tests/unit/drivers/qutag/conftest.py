"""A quTAG on a function table of our own."""

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.time_tagger.qutag import QuTag
from tests.unit.drivers.qutag.tdcbase import Connected, HandClock, Tdcbase


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def library(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Tdcbase:
    tdcbase = Tdcbase(clock)
    module: Any = types.ModuleType("foreign_tdcbase")
    module.table = lambda **_parameters: tdcbase.table()
    monkeypatch.setitem(sys.modules, "foreign_tdcbase", module)
    return tdcbase


@pytest.fixture
def connected(clock: HandClock, library: Tdcbase) -> Iterator[Connected]:
    devices: list[QuTag] = []

    def connect(**options: Any) -> QuTag:
        assert library.clock is clock
        device = QuTag(
            "c_api+python:foreign_tdcbase:table?device=bob.tagger",
            name="tagger",
            label="bob.tagger",
            clock=clock,
            **options,
        )
        device.connect()
        devices.append(device)
        return device

    yield connect
    for device in devices:
        device.disconnect()
