from collections.abc import Callable
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from bluesky import RunEngine
from bluesky.simulators import check_limits
from bluesky.utils import FailedStatus
from ophyd.utils import LimitError

from drivers.keysight_n77xx_codec import Attenuation
from drivers.voa.keysight_n7764a import KeysightN7764A
from qdci_lab.errors import (
    AcquisitionError,
    InstrumentError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportTimeout,
)

WAIT_S = 5.0


def registers() -> dict[str, str]:
    return {
        "*IDN?": "Keysight Technologies,N7764A,DE49300071,V1.0",
        ":OUTP3:POW:UN": "0",
        ":OUTP3:POW:CONTR": "1",
        ":INP3:ATT:SPE? MIN": "+1.00000000E-001",
        ":INP3:ATT:SPE? MAX": "+1.00000000E+003",
        ":INP3:ATT": "+0.00000000E+000",
        ":OUTP3": "0",
        ":READ3:POW": "+1.00000000E-006",
        ":INP3:WAV": "+1.55000000E-006",
        ":INP3:ATT:SPE": "+1.00000000E+002",
        ":INP3:OFFS": "+0.00000000E+000",
    }


@pytest.fixture
def fake(fake_scpi: Any) -> Any:
    return fake_scpi(registers())


@pytest.fixture
def voa(connected: Callable[..., Any], fake: Any) -> Any:
    return connected(KeysightN7764A, fake, slot=3)


def test_it_speaks_as_the_transcript_does(transcript: Any, scripted: Any):
    voa, transport = scripted(KeysightN7764A, transcript("keysight_n7764a"), slot=1)
    voa.wavelength.set(1550.12).wait(WAIT_S)
    voa.attenuation_speed.set(80).wait(WAIT_S)
    voa.attenuation.set(10).wait(WAIT_S)
    voa.shutter_open.set(1).wait(WAIT_S)
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -222"):
        voa.connection.checked(Attenuation.set(1, 60.0))
    voa.attenuation_offset.set(2).wait(WAIT_S)
    assert voa.attenuation.last == 12.0
    voa.make_safe().wait(WAIT_S)
    assert voa.shutter_open.last is False
    assert transport.exhausted


def test_connecting_measures_every_quantity_and_stops_power_control(voa: Any, fake: Any):
    assert fake.registers[":OUTP3:POW:CONTR"] == "0"
    assert fake.registers[":OUTP3:POW:UN"] == "WATT"
    assert voa.output_power.last == pytest.approx(-30.0)
    assert voa.wavelength.last == 1550.0
    assert voa.identity.last == "Keysight Technologies,N7764A,DE49300071,V1.0"


def test_reading_and_describing_do_no_io(voa: Any, fake: Any):
    before = len(fake.written)
    voa.stage()
    documents = (voa.read(), voa.describe(), voa.read_configuration(), voa.describe_configuration())
    voa.unstage()
    assert len(fake.written) == before
    assert set(documents[0]) == {"dev_attenuation", "dev_shutter_open", "dev_output_power"}


def test_every_number_has_a_unit(voa: Any):
    keys = {**voa.describe(), **voa.describe_configuration()}
    assert {name: key["units"] for name, key in keys.items() if key["dtype"] != "string"} == {
        "dev_attenuation": "dB",
        "dev_shutter_open": "1",
        "dev_output_power": "dBm",
        "dev_wavelength": "nm",
        "dev_attenuation_speed": "dB/s",
        "dev_attenuation_offset": "dB",
    }


def test_asking_a_signal_asks_the_instrument(voa: Any, fake: Any):
    fake.registers[":INP3:ATT"] = "+7.50000000E+000"
    assert voa.attenuation.get() == 7.5
    assert fake.written[-1] == b":INP3:ATT?"


@pytest.mark.parametrize(
    ("value_db", "bound"), [(45.1, "above the bound of 45 dB"), (-0.1, "below the bound of 0 dB")]
)
def test_attenuations_beyond_the_filter_are_refused_before_anything_is_sent(
    voa: Any, fake: Any, value_db: float, bound: str
):
    before = len(fake.written)
    with pytest.raises(LimitError, match=f"dev_attenuation: {value_db} dB is {bound}"):
        voa.attenuation.set(value_db)
    assert len(fake.written) == before


def test_an_offset_shifts_the_limits(voa: Any):
    voa.attenuation_offset.set(10.0).wait(WAIT_S)
    assert voa.attenuation.limits == (10.0, 55.0)
    assert voa.describe()["dev_attenuation"]["lower_ctrl_limit"] == 10.0
    voa.attenuation.check_value(50.0)
    with pytest.raises(LimitError):
        voa.attenuation.check_value(5.0)


def test_the_instruments_own_speed_limits_hold(voa: Any):
    with pytest.raises(LimitError, match="dev_attenuation_speed: 2000 dB/s is above the bound of 1000 dB/s"):
        voa.attenuation_speed.set(2000.0)


@pytest.mark.parametrize("state", [0.5, 2])
def test_a_shutter_is_open_or_closed(voa: Any, state: float):
    with pytest.raises(LimitError, match="dev"):
        voa.shutter_open.set(state)


def test_it_lets_light_pass_and_blocks_it_by_the_shutter_and_leaves_the_filter(voa: Any):
    voa.attenuation.set(7.0).wait(WAIT_S)
    for settings, state in ((voa.passing(), True), (voa.blocking(), False)):
        for signal, value in settings:
            signal.set(value).wait(WAIT_S)
        assert voa.shutter_open.get() is state
        assert voa.attenuation.get() == 7.0


def test_a_refusal_of_the_instrument_fails_the_status_with_its_code_and_name(voa: Any, fake: Any):
    fake.refuse[":INP3:ATT"] = '-284, "Function currently running (StatModuleBusy)"'
    status = voa.attenuation.set(5.0)
    with pytest.raises(
        InstrumentError, match=r"lab\.dev: error -284.*in answer to ':INP3:ATT 5.000'"
    ) as caught:
        status.wait(WAIT_S)
    assert caught.value.code == -284


def test_a_refused_query_is_explained_by_the_error_queue(voa: Any, fake: Any):
    fake.refuse[":READ3:POW?"] = '-303, "Module slot empty or slot / channel invalid"'
    with pytest.raises(InstrumentError, match=r"lab\.dev: error -303"):
        voa.output_power.get()


def test_silence_is_a_timeout_that_names_the_instrument(voa: Any, fake: Any):
    fake.silent = True
    with pytest.raises(TransportTimeout, match=r"lab\.dev: memory: no answer within"):
        voa.attenuation.set(5.0).wait(WAIT_S)


def test_it_waits_on_the_labs_clock_until_the_filter_has_arrived(voa: Any, fake: Any, clock: Any):
    fake.busy_after_command = 7
    began_ps = clock.now_ps()
    voa.attenuation.set(20.0).wait(WAIT_S)
    assert fake.written.count(b"*OPC?") == 8
    assert clock.now_ps() - began_ps == 7 * 20_000_000_000


def test_a_filter_that_never_arrives_is_reported(voa: Any, fake: Any):
    fake.busy_after_command = 10**9
    with pytest.raises(AcquisitionError, match=r"lab\.dev: still busy after 2.45 s"):
        voa.attenuation.set(20.0).wait(WAIT_S)


def test_patience_grows_as_the_filter_slows_down(voa: Any):
    fast_s = voa.patience_s
    voa.attenuation_speed.set(0.1).wait(WAIT_S)
    assert voa.motion_s == pytest.approx(450.0)
    assert voa.patience_s >= fast_s + 450.0


def test_an_instrument_that_goes_elsewhere_is_reported(voa: Any, fake: Any):
    fake.registers[":INP3:ATT?"] = "stuck"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: not a number"):
        voa.attenuation.set(5.0).wait(WAIT_S)
    fake.registers[":INP3:ATT?"] = "+5.00100000E+000"
    with pytest.raises(
        AcquisitionError, match=r"dev_attenuation: set to 5.0 dB, but the instrument reports 5.001 dB"
    ):
        voa.attenuation.set(5.0).wait(WAIT_S)


def test_another_model_at_the_address_is_not_taken_for_this_one(connected: Any, fake: Any):
    fake.registers["*IDN?"] = "Keysight Technologies,N7761A,DE49300071,V1.0"
    with pytest.raises(RemoteProtocolError, match=r"lab\.dev: expected a Keysight N7764A.*N7761A"):
        connected(KeysightN7764A, fake, slot=3)


def test_only_slots_of_the_model_are_taken(fake: Any):
    with pytest.raises(LocalProtocolError, match="slot 9"):
        KeysightN7764A("memory", name="dev", slot=9, transport=fake)


def test_the_safe_state_is_a_closed_shutter(voa: Any, fake: Any):
    voa.shutter_open.set(True).wait(WAIT_S)
    voa.make_safe().wait(WAIT_S)
    assert fake.registers[":OUTP3"] == "0"
    assert voa.read()["dev_shutter_open"]["value"] is False


def test_a_scan_records_arrived_values(voa: Any, recorded: Any):
    events = recorded(bp.scan([voa], voa.attenuation, 0.0, 30.0, 4))
    assert [event["dev_attenuation"] for event in events] == [0.0, 10.0, 20.0, 30.0]
    assert events[0]["dev_output_power"] == pytest.approx(-30.0)


def test_a_plan_puts_the_attenuation_back(voa: Any, fake: Any, run_engine: RunEngine):
    voa.attenuation.set(3.0).wait(WAIT_S)
    run_engine(bpp.reset_positions_wrapper(bps.mv(voa.attenuation, 12.0, voa.shutter_open, 1)))
    assert b":INP3:ATT 12.000" in fake.written
    assert voa.attenuation.last == 3.0
    assert voa.shutter_open.last is False


def test_limits_of_a_plan_are_checked_without_running_it(voa: Any, fake: Any):
    before = len(fake.written)
    with pytest.raises(LimitError):
        check_limits(bp.scan([voa], voa.attenuation, 0.0, 60.0, 4))
    assert len(fake.written) == before


def test_a_failing_move_fails_the_run_and_closes_the_shutter(voa: Any, fake: Any, run_engine: RunEngine):
    voa.shutter_open.set(1).wait(WAIT_S)
    fake.refuse[":INP3:ATT"] = '-284, "Function currently running (StatModuleBusy)"'
    with pytest.raises(FailedStatus):
        run_engine(
            bpp.contingency_wrapper(bps.mv(voa.attenuation, 5.0), except_plan=lambda _e: bps.stop(voa))
        )
    voa.submit(lambda _status: None).wait(WAIT_S)
    assert fake.registers[":OUTP3"] == "0"
