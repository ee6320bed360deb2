from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from drivers.awg.keysight_m8196a import KeysightM8196A
from drivers.awg.keysight_m8196a_codec import MEMORY, Raster
from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from tests.unit.drivers.awgs import CHANNELS, M8196A, FakeM8196A, noise

WAIT_S = 5.0


@pytest.fixture
def fake() -> FakeM8196A:
    return FakeM8196A()


@pytest.fixture
def awg(connected: Callable[..., Any], fake: FakeM8196A) -> Any:
    return connected(KeysightM8196A, fake)


def test_nothing_is_said_that_only_its_sibling_understands(awg: Any, fake: FakeM8196A):
    awg.set(M8196A.waveforms()).wait(WAIT_S)
    awg.sample_rate.set(85e9).wait(WAIT_S)
    awg.make_safe().wait(WAIT_S)
    said = b"\n".join(fake.written)
    assert not [word for word in (b":MEM:EXT", b":MMOD", b":FUNC", b":SEL") if word in said]
    assert fake.errors == []


def test_the_rate_is_the_raster(awg: Any, fake: FakeM8196A):
    awg.sample_rate.set(90e9).wait(WAIT_S)
    assert float(fake.registers[":FREQ:RAST"]) == 90e9
    assert awg.sample_rate.limits == (82.24e9, 93.4e9)
    with pytest.raises(LimitError, match=r"dev_sample_rate: 1.6e\+10 Hz is below the bound of 8.224e\+10 Hz"):
        awg.sample_rate.set(16e9)
    with pytest.raises(LocalProtocolError, match="raster"):
        Raster.set(65e9)


def test_the_whole_memory_can_be_filled():
    assert MEMORY.check({channel: noise(524_288) for channel in CHANNELS}) == 524_288


def test_a_plan_moves_it(awg: Any, fake: FakeM8196A, run_engine: RunEngine):
    run_engine(bps.mv(awg, M8196A.waveforms(), awg.output_2, 1))
    assert fake.registers[":OUTP2"] == "1"
    assert awg.running.last is True


def test_its_sibling_is_not_taken_for_it(connected: Any, fake: FakeM8196A):
    fake.registers["*IDN?"] = "Keysight Technologies,M8195A,DE55C00123,3.6.0.0-2"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Keysight M8196A.*M8195A"):
        connected(KeysightM8196A, fake)
