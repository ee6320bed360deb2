"""What holds for everything that gives light or current and can be switched off."""

from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from qdci_lab.errors import AcquisitionError, InstrumentError, RemoteProtocolError, TransportTimeout
from tests.unit.drivers.fake_scpi import FakeScpi
from tests.unit.drivers.sources import E36312A, ITC4001, MTP1000, N7714A, Source

WAIT_S = 5.0
MODELS = {
    "coherent_mtp1000": MTP1000,
    "keysight_n7714a": N7714A,
    "thorlabs_itc4001": ITC4001,
    "keysight_e36312a": E36312A,
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Source:
    return MODELS[request.param]


@pytest.fixture
def fake(model: Source) -> FakeScpi:
    return model.fake()


@pytest.fixture
def source(connected: Callable[..., Any], model: Source, fake: FakeScpi) -> Any:
    return connected(model.driver, fake, **model.options)


@pytest.mark.parametrize(
    ("model", "units"),
    [
        ("coherent_mtp1000", {"wavelength": "nm", "power": "dBm", "emission": "1"}),
        ("keysight_n7714a", {"wavelength": "nm", "frequency": "THz", "power": "dBm", "emission": "1"}),
        (
            "thorlabs_itc4001",
            {
                "current": "A", "emission": "1", "measured_current": "A", "diode_voltage": "V",
                "temperature": "°C", "temperature_setpoint": "°C", "temperature_control": "1",
                "current_limit": "A", "condition": "1",
            },
        ),
        (
            "keysight_e36312a",
            {"voltage_setpoint": "V", "current_limit": "A", "output": "1", "voltage": "V", "current": "A"},
        ),
    ],
    indirect=["model"],
)  # fmt: skip
def test_every_number_has_a_unit_and_reading_does_no_io(source: Any, fake: FakeScpi, units: dict[str, str]):
    before = len(fake.written)
    keys = {**source.describe(), **source.describe_configuration()}
    source.read()
    numbers = {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"}
    assert numbers == {f"dev_{signal}": unit for signal, unit in units.items()}
    assert len(fake.written) == before


@pytest.mark.parametrize(
    ("model", "signal", "value", "message"),
    [
        ("coherent_mtp1000", "wavelength", 1310.0, "dev_wavelength: 1310 nm is below the bound of 1527.6 nm"),
        ("coherent_mtp1000", "power", 17.0, "dev_power: 17 dBm is above the bound of 16 dBm"),
        ("coherent_mtp1000", "emission", 2, "dev_emission: 2 is above the bound of 1"),
        ("keysight_n7714a", "wavelength", 1600.0, "dev_wavelength: 1600 nm is above the bound of 1565.5 nm"),
        ("keysight_n7714a", "power", 5.0, "dev_power: 5 dBm is below the bound of 6 dBm"),
        ("keysight_n7714a", "emission", 3, "dev_emission: 3 is above the bound of 1"),
    ],
    indirect=["model"],
)
def test_what_a_laser_cannot_do_is_refused_before_anything_is_sent(
    source: Any, fake: FakeScpi, signal: str, value: float, message: str
):
    before = len(fake.written)
    with pytest.raises(LimitError, match=message):
        getattr(source, signal).set(value)
    assert len(fake.written) == before


@pytest.mark.parametrize(
    ("model", "signal", "value", "polls"),
    [
        ("coherent_mtp1000", "wavelength", 1540.0, 5),
        ("keysight_n7714a", "emission", 1, 100),
        ("keysight_e36312a", "voltage_setpoint", 1.0, 3),
    ],
    indirect=["model"],
)
def test_it_waits_on_the_labs_clock_until_the_instrument_has_settled(
    source: Any, fake: FakeScpi, clock: Any, signal: str, value: float, polls: int
):
    fake.busy_after_command = polls
    began_ps = clock.now_ps()
    getattr(source, signal).set(value).wait(WAIT_S)
    assert fake.written.count(b"*OPC?") == polls + 1
    assert clock.now_ps() - began_ps == polls * 20_000_000_000


@pytest.mark.parametrize(
    ("model", "signal", "value"),
    [("coherent_mtp1000", "power", 8.0), ("keysight_n7714a", "emission", 1)],
    indirect=["model"],
)
def test_a_laser_that_never_settles_is_reported(source: Any, fake: FakeScpi, signal: str, value: float):
    fake.busy_after_command = 10**9
    with pytest.raises(AcquisitionError, match=r"lab\.dev: still busy after 30 s"):
        getattr(source, signal).set(value).wait(WAIT_S)


@pytest.mark.parametrize(
    ("model", "header", "refusal", "signal", "value", "message"),
    [
        ("coherent_mtp1000", ":SOUR3:CHAN2:POW", '-222,"Data out of range"', "power", 15.0, "-222"),
        ("keysight_n7714a", ":SOUR4:POW", '-221, "Settings conflict"', "power", 10.0, "-221, 'Settings conflict'"),
        ("thorlabs_itc4001", ":SOUR:CURR", '-222,"Data out of range"', "current", 0.01, "-222.*:SOUR:CURR 0.010000"),
        ("keysight_e36312a", ":OUTP", '-200,"Execution error"', "output", 1, r"-200.*:OUTP 1, \(@2\)"),
    ],
    indirect=["model"],
)  # fmt: skip
def test_a_refusal_carries_the_instruments_reason(
    source: Any, fake: FakeScpi, header: str, refusal: str, signal: str, value: float, message: str
):
    fake.refuse[header] = refusal
    with pytest.raises(InstrumentError, match=rf"lab\.dev: error {message}"):
        getattr(source, signal).set(value).wait(WAIT_S)


def test_silence_is_a_timeout_that_names_the_instrument(source: Any, fake: FakeScpi):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer"):
        source.trigger().wait(WAIT_S)


@pytest.mark.parametrize(
    ("model", "identity", "message"),
    [
        ("coherent_mtp1000", "Coherent Solutions Ltd,MATRIQ1000,90001234,1.8.0", "a Coherent MTP1000.*MATRIQ"),
        ("keysight_n7714a", "Keysight Technologies,N7711A,DE49700050,V1.0", "a Keysight N7714A.*N7711A"),
        ("thorlabs_itc4001", "THORLABS,LDC4005,M00412345,1.4.0", "a Thorlabs ITC4001.*LDC4005"),
        ("keysight_e36312a", "Keysight Technologies,E36313A,MY57001234,1.0.4", "a Keysight E36312A.*E36313A"),
    ],
    indirect=["model"],
)  # fmt: skip
def test_another_model_is_not_taken_for_this_one(
    connected: Callable[..., Any], model: Source, fake: FakeScpi, identity: str, message: str
):
    fake.registers["*IDN?"] = identity
    with pytest.raises(RemoteProtocolError, match=rf"lab\.dev: expected {message}"):
        connected(model.driver, fake, **model.options)


def test_a_failing_plan_switches_it_off(model: Source, source: Any, fake: FakeScpi, run_engine: RunEngine):
    def plan() -> Any:
        yield from bps.mv(getattr(source, model.switch), 1)
        assert fake.registers[model.state] == "1"
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        run_engine(bpp.contingency_wrapper(plan(), except_plan=lambda _e: bps.stop(source)))
    source.submit(lambda _status: None).wait(WAIT_S)
    assert fake.registers[model.state] == "0"
