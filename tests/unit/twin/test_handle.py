"""What an instrument's firmware holds of a component."""

import numpy as np
import pytest

from qdci_lab.units import dbm_to_watt, watt_to_dbm
from sim_devices.twin.light import Light
from tests.physics.ji_bench import JiBench

S = 10**12


@pytest.fixture(scope="module")
def lit() -> JiBench:
    bench = JiBench()
    bench.launch(12.0)
    return bench


def test_settings_act_when_they_are_due():
    bench = JiBench()
    voa, time = bench.twin.handle("alice_voa"), bench.twin.lab_time
    assert voa.lab_time is time
    voa.apply(attenuation_db=23.0, after_s=0.5)
    assert voa.setting("attenuation_db") == 20.0
    time.advance_by(S // 2)
    assert voa.setting("attenuation_db") == 23.0


def test_a_ramp_is_seen_on_the_way_and_flags_act_at_once():
    bench = JiBench()
    voa, time = bench.twin.handle("alice_voa"), bench.twin.lab_time
    voa.apply(attenuation_db=30.0, shutter_open=False, over_s=1.0)
    assert voa.setting("shutter_open") is False
    time.advance_by(S // 4)
    assert voa.setting("attenuation_db") == pytest.approx(22.5, abs=0.35)
    time.advance_by(S)
    assert voa.setting("attenuation_db") == 30.0


def test_unknown_names_and_unfit_values_are_refused_whole():
    bench = JiBench()
    voa = bench.twin.handle("alice_voa")
    with pytest.raises(ValueError, match="no setting 'atenuation_db'"):
        voa.apply(shutter_open=False, atenuation_db=3.0)
    with pytest.raises(ValueError, match="attenuation_db"):
        voa.apply(shutter_open=False, attenuation_db="3")
    assert voa.setting("shutter_open") is True
    with pytest.raises(ValueError, match="no setting 'gain'"):
        voa.setting("gain")
    with pytest.raises(ValueError, match="no observable 'count_rate_hz'"):
        voa.sense("count_rate_hz")
    with pytest.raises(ValueError, match="neither ALC nor ACC"):
        bench.twin.handle("amplifier").apply(control="APC")


def test_the_attenuator_is_not_quite_what_it_says(lit: JiBench):
    voa = lit.twin.handle("launch_voa")
    commanded = voa.setting("attenuation_db")
    assert isinstance(commanded, float)
    loss_db = watt_to_dbm(voa.sense("input_power_w")) - watt_to_dbm(voa.sense("output_power_w"))
    assert loss_db == pytest.approx(0.7 + 0.05 + 1.008 * commanded, abs=1e-9)


def test_launch_power_reaches_15_dbm_with_23_dbm_at_most():
    bench = JiBench()
    bench.launch(12.0)
    bench.twin.handle("launch_voa").apply(attenuation_db=0.0)
    assert bench.launched_dbm() > 15.0
    assert bench.twin.handle("launch_voa").sense("input_power_w") <= dbm_to_watt(23.0) * (1 + 1e-9)


def test_the_tap_follows_the_launch(lit: JiBench):
    tap_dbm = watt_to_dbm(lit.twin.handle("power_meter").sense("power_w"))
    through_db = 10 * np.log10(0.99) - 10 * np.log10(5) - 0.1
    assert lit.launched_dbm() - (tap_dbm - 0.06) == pytest.approx(through_db + 20.0, abs=1e-6)


def test_all_data_cores_get_the_same_and_core_4_nothing(lit: JiBench):
    def power_w(port: str) -> float:
        light = lit.twin.arriving(port)
        assert isinstance(light, Light)
        return light.power_w

    assert {round(power_w(f"fibre.b{core}") / power_w("fibre.b2"), 12) for core in (2, 3, 5, 6, 7)} == {1.0}
    assert power_w("fibre.b4") == 0.0
    assert power_w("fibre.b1") == 0.0


def test_the_amplifier_holds_its_output_or_its_pump():
    bench = JiBench()
    bench.launch(12.0)
    amplifier = bench.twin.handle("amplifier")
    assert amplifier.sense("input_power_w") == pytest.approx(dbm_to_watt(13.9))
    for asked_dbm, given_dbm in ((20.0, 20.0), (26.0, 23.0)):
        amplifier.apply(output_power_dbm=asked_dbm)
        assert watt_to_dbm(amplifier.sense("output_power_w")) == pytest.approx(given_dbm, abs=1e-3)
    amplifier.apply(control="ACC", pump_current_ma=300.0)
    assert amplifier.sense("output_power_w") == pytest.approx(0.1, rel=1e-3)
    amplifier.apply(pump_current_ma=20.0)
    assert amplifier.sense("output_power_w") == 0.0


def test_the_amplifier_without_input_gives_spontaneous_emission_alone():
    bench = JiBench()
    bench.twin.handle("amplifier").apply(emission_on=True, control="ALC", output_power_dbm=23.0)
    light = bench.twin.leaving("amplifier.out")
    assert isinstance(light, Light)
    assert light.lines == ()
    nep_w_per_nm = 10**0.5 * 6.626e-34 * 2.998e8 / 1550e-9 * 124.8e9
    assert light.noise_w_per_nm == pytest.approx(nep_w_per_nm * 10**3.5, rel=1e-3)


def test_sensed_power_is_the_mean_over_the_time_before():
    bench = JiBench()
    bench.launch(12.0)
    meter, voa, time = (
        bench.twin.handle("power_meter"),
        bench.twin.handle("launch_voa"),
        bench.twin.lab_time,
    )
    before_w = meter.sense("power_w")
    time.advance_by(S)
    voa.apply(shutter_open=False)
    assert meter.sense("power_w", 0.5) == pytest.approx(before_w)
    time.advance_by(S // 4)
    assert meter.sense("power_w") == pytest.approx(1e-12)
    assert meter.sense("power_w", 0.5) == pytest.approx((before_w + 1e-12) / 2)


def test_the_count_rate_is_a_number_counted():
    bench = JiBench()
    bench.align()
    bench.twin.lab_time.advance_by(2 * S)
    detectors = bench.twin.handle("detectors")
    expected_hz = detectors.sense("count_rate_hz")
    assert expected_hz == pytest.approx(4 * 363_650, rel=0.01)
    counted_hz = detectors.sense("count_rate_hz", 0.1)
    assert counted_hz == detectors.sense("count_rate_hz", 0.1)
    assert counted_hz != expected_hz
    assert (counted_hz * 0.1) == pytest.approx(round(counted_hz * 0.1))
    # five standard deviations: false alarm below 1e-6
    assert abs(counted_hz - expected_hz) * 0.1 < 5.0 * (expected_hz * 0.1) ** 0.5


def test_the_switched_off_laser_is_dark(lit: JiBench):
    laser = lit.twin.handle("classical_laser")
    assert laser.sense("power_w") == pytest.approx(dbm_to_watt(13.9))
    laser.apply(power_dbm=99.0)
    assert laser.sense("power_w") == pytest.approx(dbm_to_watt(16.0))
    laser.apply(emission_on=False)
    assert laser.sense("power_w") == 0.0
    laser.apply(emission_on=True, power_dbm=13.9)
