"""Clocks on cables and over light, against their closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sim_devices.twin.clock_signal import ClockSignal, TimeBase
from sim_devices.twin.components.optical_clock import InjectionLockedLaser
from sim_devices.twin.light import Light, Line, Tone
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from sim_devices.twin.wander import Wander
from tests.physics.ji_bench import JiBench

LO_PATH = frozenset({(9, 45), (11, 44)})
NO_SETTINGS = Settings({}, {})


def lit_bench(**changes: dict[str, object]) -> JiBench:
    """The local oscillator shines through core 4."""
    bench = JiBench(**changes)
    bench.twin.handle("probe_laser").apply(emission_on=True, power_dbm=6.0, wavelength_nm=1550.12)
    bench.twin.handle("switch").apply(connections=LO_PATH)
    return bench


def test_the_deviation_of_a_time_base_is_offset_and_drift_and_what_it_was_a_delay_ago():
    base = TimeBase(offset_ppm=12.0, drift_ppb_per_s=20.0)
    assert base.deviation_ps([0, 10**12, 2 * 10**12]) == pytest.approx([0.0, 12.01e6, 24.04e6])
    assert base.rate(10**12) == pytest.approx(12.02e-6)
    late = base.delayed(1e12)
    assert late.deviation_ps([2 * 10**12]) == pytest.approx([12.01e6])


def test_slow_phase_noise_has_its_standard_deviation_and_no_steps():
    base = TimeBase(flicker=Wander(KeyedStream(1), 40.0, 0.1, 100.0))
    times_ps = np.linspace(0.0, 2e15, 40_000)
    assert base.deviation_ps([7.25e9]) == pytest.approx(
        [0.75 * base.flicker.at(0.007) + 0.25 * base.flicker.at(0.008)] if base.flicker else []
    )
    assert base.deviation_ps(times_ps).std() == pytest.approx(40.0, rel=0.1)
    fine = base.deviation_ps(np.arange(0.0, 1e11, 1e7))
    assert np.abs(np.diff(fine)).max() < 40.0 * math.sqrt(2.0 * 48.0) * 2.0 * math.pi / 0.1 * 1e-5


def test_a_low_pass_widens_a_gaussian_pulse_as_a_convolution_does():
    """Against a numerical filter with 3 dB loss at the bandwidth."""
    pulse = ClockSignal(TimeBase(), 1e8, 1.0, 500.0).after(bandwidth_hz=3e8, gain=0.5)
    times_ps = np.arange(-5000.0, 5000.0)
    bell = np.exp(-4.0 * math.log(2.0) * (times_ps / 500.0) ** 2)
    response = np.power(2.0, -0.5 * (np.fft.rfftfreq(times_ps.size, 1e-12) / 3e8) ** 2)
    filtered = 0.5 * np.fft.irfft(np.fft.rfft(bell) * response, times_ps.size)
    above = times_ps[filtered > 0.5 * filtered.max()]
    assert pulse.amplitude_v == pytest.approx(filtered.max(), rel=1e-4)
    assert pulse.pulse_fwhm_ps == pytest.approx(above.size, abs=1.5)


def test_the_local_oscillator_has_the_published_power_and_clock():
    """Ji 4.1: 0 dBm into the core, -11.2 dBm at the receiver; Fig. 4(b): the clock at -12.5 dB, then -23.1 dB."""
    twin = lit_bench(probe_laser={"calibration_error_db": 0.0}).twin
    assert power_dbm(twin.leaving("switch.44")) == pytest.approx(0.0, abs=0.05)
    through, tap = (twin.leaving(f"lo_coupler.{port}") for port in ("through", "tap"))
    assert 10.0 * math.log10((through.power_w + tap.power_w) / 1e-3) == pytest.approx(-11.2, abs=0.02)
    laser = twin.handle("locked_laser")
    assert laser.sense("injected_clock_db") == pytest.approx(-12.5, abs=0.01)
    assert laser.sense("clock_db") == pytest.approx(-23.1, abs=0.05)
    assert laser.sense("power_w") == pytest.approx(0.01)


def power_dbm(light) -> float:
    return 10.0 * math.log10(light.power_w / 1e-3)


@pytest.mark.parametrize(
    ("detuning_ghz", "locked"), [(-0.9, True), (-1.1, False), (0.28, True), (0.33, False)]
)
def test_the_locking_range_is_asymmetric(detuning_ghz, locked):
    """kappa sqrt(P_inj/P) = 30 GHz x 0.01 = 0.3 GHz above, times sqrt(1 + 3^2) = 0.949 GHz below."""
    own = InjectionLockedLaser.Parameters(
        output_power_dbm=10.0, wavelength_nm=1550.0, corner_hz=9.3e8, coupling_hz=3e10
    )
    laser = InjectionLockedLaser(own, KeyedStream(1))
    free_hz = 299_792_458.0 / 1550e-9
    clock = ClockSignal(TimeBase(), 3e9, 0.5, 100.0)
    master = Line(299_792_458.0 / (free_hz + 1e9 * detuning_ghz), 1e-6, tone=Tone(clock, 0.5))
    (line,) = laser.propagate({"in": Light(lines=(master,))}, NO_SETTINGS, ["out"])["out"].lines
    assert line.power_w == pytest.approx(0.01)
    assert (line.tone is not None) is locked
    assert line.wavelength_m == (master.wavelength_m if locked else pytest.approx(1550e-9))


def test_the_recovered_clock_comes_late_by_the_fibre_and_jitters_by_the_noise_of_its_light():
    """sigma_t = sigma_V / (dV/dt): thermal 20 pA/sqrt(Hz) and shot noise within 12 GHz, on 3 GHz."""
    for loss_db in (10.084, 18.084):
        twin = lit_bench(lo_coupler={"excess_loss_db": loss_db}).twin
        clock = twin.leaving("clock_receiver.1")
        power_w = twin.leaving("lo_coupler.through").power_w
        current_a = 0.9 * power_w
        tone_a = current_a * 0.6707 * 2.0 ** (-0.5 * (3.0 / 12.0) ** 2)
        noise_a = math.sqrt((2.0 * 1.602176634e-19 * current_a + 2e-11**2) * 1.2e10)
        expected_ps = noise_a / (2.0 * math.pi * 3e9 * tone_a) * 1e12
        assert clock.jitter_ps == pytest.approx(math.hypot(1.0, 2.0, expected_ps), rel=1e-4)
        assert clock.time_base.delay_ps == pytest.approx(3500.0 * 1.468 / 299_792_458.0 * 1e12)
        assert clock.frequency_hz == pytest.approx(1e8)


def test_there_is_no_clock_without_light_or_with_too_little():
    assert JiBench().twin.leaving("clock_receiver.1") is None
    assert lit_bench(lo_coupler={"excess_loss_db": 30.0}).twin.leaving("clock_receiver.1") is None
    trace, _ = JiBench().twin.handle("scope_optical").setting("waveform_v")
    assert not np.any(trace)


def test_an_oscilloscope_sees_the_pulses_at_their_times():
    """The clock is 50 ppm fast: after 1.7 s its pulses have moved by 8500 periods, and come at its own rate."""
    bench = JiBench(
        reference={"offset_ppm": 50.0, "jitter_ps": 0.0},
        trigger_divider={"jitter_ps": 0.0, "output_noise_v": 0.0},
    )
    twin = bench.twin
    now_ps = twin.lab_time.advance_to(1_700_000_003_217)
    trace, rate_hz = twin.handle("scope_cable").setting("waveform_v")
    assert rate_hz == pytest.approx(80e9 * (1.0 + 50e-6), rel=1e-12)
    place = now_ps * 1e-12 * rate_hz % trace.size
    peaks = np.flatnonzero((trace > np.roll(trace, 1)) & (trace >= np.roll(trace, -1)) & (trace > 0.1))
    assert peaks.size == 256
    found_ps = (peaks - place) / rate_hz * 1e12 + now_ps
    reading_ps = (found_ps - 20_000.0) * (1.0 + 50e-6)
    off_ps = reading_ps - 1e4 * np.round(reading_ps / 1e4)
    assert np.abs(off_ps).max() < 12.5


def test_generators_that_follow_different_references_are_refused():
    from sim_devices.twin.layout import ComponentSpec
    from sim_devices.twin.twin import Twin
    from tests.physics.ji_bench import _link, ji_layout

    layout = ji_layout()
    components = {**layout.components, "other": ComponentSpec("waveform_source", {})}
    links = tuple(link for link in layout.links if str(link.target) != "intensity_modulator.rf")
    links += tuple(map(_link, ("reference.3 awg.reference", "other.1 intensity_modulator.rf")))
    with pytest.raises(ValueError, match="must all have the same reference"):
        Twin(replace(layout, components=components, links=links))
