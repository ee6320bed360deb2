"""The IQ modulator and the coherent receiver by themselves: ports, errors, and what the laws of the beat are made of.

Seeds are fixed; noise is switched off or small enough not to matter where no false-alarm rate is stated.
"""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim_devices.config import find_mistakes
from sim_devices.twin.baseband import RATE_PER_BANDWIDTH, Baseband
from sim_devices.twin.clock_signal import ClockSignal, TimeBase
from sim_devices.twin.components.clocks import OscilloscopeInput, OscilloscopeInputParameters
from sim_devices.twin.components.coherent_receiver import CoherentReceiver, CoherentReceiverParameters
from sim_devices.twin.components.iq_modulator import IqModulator, IqModulatorParameters
from sim_devices.twin.electrical import OFF, Waveform
from sim_devices.twin.light import DARK, Light, Line, PulseTrain, Tone
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

NO_SETTINGS = Settings({}, {})
STREAM = KeyedStream(7)
H = np.array([1.0, 0.0], np.complex128)
LIGHT_M_PER_S = 299_792_458.0
QUIET: dict[str, Any] = {
    "bandwidth_hz": 10e9, "linewidth_hz": 0.0, "self_homodyne": True, "thermal_noise_a_per_sqrt_hz": 0.0,
}  # fmt: skip


def wave(codes, sample_ps=125, origin_ps=0):
    return Waveform(np.array(codes, np.int8), Fraction(sample_ps), Fraction(origin_ps), 1.0 / 127.0, 0.0)


def carrier(power_w=1e-3, wavelength_m=1550e-9, jones=H, tone=None):
    return Line(wavelength_m, power_w, jones, tone)


def modulated(light, i=OFF, q=OFF, **parameters):
    modulator = IqModulator(
        IqModulatorParameters(**{"v_pi_v": 1.0, "extinction_db": 80.0, **parameters}), STREAM
    )
    out = modulator.propagate({"in": light, "i": i, "q": q}, NO_SETTINGS, ("out",))["out"]
    assert isinstance(out, Light)
    return out


def received(signal, lo, outputs=("xi", "xq"), time_ps=0, points=4096, **parameters):
    """Voltages of the outputs, shape (outputs, samples), and the sample rate."""
    receiver = CoherentReceiver(CoherentReceiverParameters(**{**QUIET, **parameters}), STREAM)
    leaving = receiver.propagate({"signal": signal, "lo": lo}, NO_SETTINGS, outputs)
    traces = []
    for output in outputs:
        law = leaving[output]
        assert isinstance(law, Baseband)
        traces.append(law.trace(time_ps, points))
    assert len({rate_hz for _, rate_hz in traces}) == 1
    return np.array([volts for volts, _ in traces]), traces[0][1]


def test_waveforms_of_two_generators_are_refused():
    light = Light(lines=(carrier(),))
    for other in (wave([1, 2, 3]), wave([1, 2], 250), wave([1, 2], origin_ps=40)):
        with pytest.raises(ValueError, match="drive both from one generator"):
            modulated(light, wave([1, 2]), other)


def test_one_voltage_may_stand_still():
    out = modulated(Light(lines=(carrier(),)), wave([127, -127]), bias_error_q_v=1.0)
    assert out.train is not None
    fields = out.train.amplitudes[out.train.slots, 0]
    assert fields[0] / fields[1] == pytest.approx((1 + 1j) / (-1 + 1j), abs=1e-3)


def test_pulses_that_enter_are_turned_each_by_its_voltages():
    train = PulseTrain(
        Fraction(0), Fraction(250), np.array([0, 1], np.uint16), np.array([[2, 0], [0, 3j]], np.complex128),
        125.0, 1550e-9, 10.0,
    )  # fmt: skip
    out = modulated(Light(train=train), wave([0, 127, 0, -127]), wave([0, 0, 0, 127])).train
    assert out is not None
    assert out.amplitudes[out.slots] == pytest.approx(np.array([[1, 0], [0, 1.5j * (-1 + 1j)]]), abs=1e-3)


def test_other_carriers_are_dimmed_by_the_mean_and_none_is_lost():
    light = Light(lines=(carrier(1e-6, 1551e-9), carrier(1e-3)))
    out = modulated(light, wave([127, 0]))
    assert out.train is not None
    assert out.train.wavelength_m == 1550e-9
    assert [line.wavelength_m for line in out.lines] == [1551e-9]
    assert out.lines[0].power_w == pytest.approx(1e-6 / 8.0, rel=1e-3)
    assert out.train.power_w == pytest.approx(1e-3 / 8.0, rel=1e-3)


def test_a_standing_voltage_keeps_the_carrier_and_its_phase():
    light = Light(lines=(carrier(),))
    one, other = (modulated(light, bias_error_i_v=1.0, bias_error_q_v=sign).lines[0] for sign in (1.0, -1.0))
    assert one.power_w == pytest.approx(0.5e-3)
    assert one.jones is not None
    assert other.jones is not None
    assert one.jones[0] / other.jones[0] == pytest.approx(1j, abs=1e-3)
    assert modulated(DARK).is_dark


def test_a_mismatch_of_two_lasers_is_refused():
    with pytest.raises(ValueError, match=r"path_mismatch_ps: 5 ps .* self_homodyne = true"):
        CoherentReceiver(CoherentReceiverParameters(1e10, 1e5, path_mismatch_ps=5.0), STREAM)


def test_bad_parameters_and_links_are_reported_where_they_are(tmp_path: Path):
    (tmp_path / "sim.toml").write_text("addresses = {}\n", encoding="utf-8")
    (tmp_path / "twin.toml").write_text(
        """
seed = 1
[components.modulator]
type = "iq_modulator"
v_pi_v = 0.0
extinction_db = 5.0
amplitude_imbalance_db = 4.0
[components.receiver]
type = "coherent_receiver"
bandwidth_hz = 4e10
linewidth_hz = 1e5
path_mismatch_ps = 10.0
[components.wide]
type = "coherent_receiver"
bandwidth_hz = 1e13
linewidth_hz = -1.0
skew_ps = [0.0, 1.0]
[components.right]
type = "coherent_receiver"
bandwidth_hz = 4e10
linewidth_hz = 1e5
[components.scope]
type = "oscilloscope_input"
baseband_points = 10
[components.input]
type = "oscilloscope_input"
[[links]]
from = "right.xi"
to = "input.in"
""",
        encoding="utf-8",
    )
    found = {mistake.key: mistake.reason for mistake in find_mistakes(tmp_path)}
    assert set(found) == {
        "components.modulator.v_pi_v",
        "components.modulator.extinction_db",
        "components.modulator.amplitude_imbalance_db",
        "components.receiver",
        "components.wide.bandwidth_hz",
        "components.wide.linewidth_hz",
        "components.wide.skew_ps",
        "components.scope.baseband_points",
        "links[0]",
    }
    assert "self_homodyne" in found["components.receiver"]
    assert found["links[0]"] == "links a baseband output to a clock input"


def test_a_frame_that_no_memory_holds_is_refused():
    train = PulseTrain(
        Fraction(0),
        Fraction(100_000),
        np.zeros(6000, np.uint16),
        np.ones((1, 2), np.complex128),
        0.0,
        1550e-9,
        1.0,
    )
    with pytest.raises(ValueError, match="6000 slots at 6000 samples each is longer than the 33554432"):
        received(Light(train=train), Light(lines=(carrier(),)))


def test_a_socket_takes_one_cable():
    scope = OscilloscopeInput(OscilloscopeInputParameters(), STREAM)
    receiver = CoherentReceiver(CoherentReceiverParameters(**QUIET), STREAM)
    law = receiver.propagate({"signal": DARK, "lo": DARK}, NO_SETTINGS, ("xi",))["xi"]
    both = {"in": ClockSignal(TimeBase(), 1e8, 0.5, 1000.0), "baseband": law}
    with pytest.raises(ValueError, match="one cable"):
        scope.reading("waveform_v", both, 0)


def test_light_is_received_in_its_polarization():
    """A signal turned by 30 degrees: cos and sin of its field, one phase; 1 mW x 1 mW/2, 0.9 A/W, 1000 Ohm."""
    jones = np.array([math.cos(math.pi / 6), math.sin(math.pi / 6)], np.complex128)
    lo = Light(lines=(carrier(1e-3, jones=np.array([0, 1j])),))
    volts, _ = received(Light(lines=(carrier(jones=jones),)), lo, ("xi", "xq", "yi", "yq"))
    x, y = (volts[0] + 1j * volts[1]).mean(), (volts[2] + 1j * volts[3]).mean()
    assert abs(x) == pytest.approx(0.9 * math.sqrt(0.5) * math.cos(math.pi / 6), rel=1e-3)
    assert y / x == pytest.approx(math.tan(math.pi / 6), rel=1e-3)


def test_without_a_local_oscillator_there_is_shot_noise_only():
    """Of 0.25 mW: q R P, one-sided, in 1.0645 x 10 GHz, by 1000 Ohm; 4.5 standard errors (false alarm 7e-6)."""
    signal = modulated(Light(lines=(carrier(),)), wave([127, -127]))
    volts, rate_hz = received(signal, DARK, points=2**17)
    density = 1.602176634e-19 * 0.9 * signal.power_w
    independent = volts.size / rate_hz * 2 * 1.0645e10 / math.sqrt(2)
    assert signal.power_w == pytest.approx(0.25e-3, rel=1e-3)
    assert np.var(volts) == pytest.approx(1e6 * density * 1.0645e10, rel=4.5 * math.sqrt(2 / independent))


def test_depolarised_light_does_not_beat():
    volts, _ = received(Light(lines=(Line(1550e-9, 1e-3),)), Light(lines=(carrier(),)))
    assert np.abs(volts).max() < 0.02


@pytest.mark.parametrize("offset_hz", [1e9, -2.5e9])
def test_lasers_apart_beat_at_their_difference(offset_hz):
    shifted_m = LIGHT_M_PER_S / (LIGHT_M_PER_S / 1550e-9 + offset_hz)
    lo = Light(lines=(carrier(),))
    volts, rate_hz = received(Light(lines=(carrier(wavelength_m=shifted_m),)), lo, points=60_000)
    turned = np.unwrap(np.angle(volts[0] + 1j * volts[1]))
    assert (turned[-100] - turned[100]) / (len(turned) - 200) * rate_hz / (2 * math.pi) == pytest.approx(
        offset_hz, rel=1e-3
    )
    far = Light(lines=(carrier(wavelength_m=1551e-9),))
    assert np.abs(received(far, lo)[0]).max() < 0.02
    train = modulated(Light(lines=(carrier(wavelength_m=1551e-9),)), wave([127, -127]))
    assert np.abs(received(train, lo)[0]).max() < 0.02


def test_a_clock_on_the_local_oscillator_is_on_the_received_field():
    """|beat|^2 follows P (1 + m cos), with its crest when a pulse of the clock arrives."""
    clock = ClockSignal(TimeBase(offset_ppm=20.0), 1e9, 0.5, 300.0)
    tone = Tone(clock, 0.5, delay_ps=123_456.0)
    lo, time_ps = Light(lines=(carrier(tone=tone),)), 1_234_567_890_123
    volts, rate_hz = received(
        Light(lines=(carrier(),)), lo, time_ps=time_ps, points=60_000, bandwidth_hz=50e9
    )
    power = np.sum(volts**2, axis=0)
    length = len(power)
    numerator, denominator = rate_hz.as_integer_ratio()
    place = (time_ps * numerator // denominator) % (length * 10**12) / 1e12
    seconds = (np.arange(length) - place) / rate_hz
    reading_ps = (time_ps - 123_456) % 1000 + 20e-6 * (time_ps - 123_456)
    expected = 1.0 + 0.5 * np.cos(2 * math.pi * 1e9 * (reading_ps * 1e-12 + (1 + 20e-6) * seconds))
    near = slice(round(place), round(place) + 1000)
    assert near.stop < length
    assert power[near] / 0.405 == pytest.approx(expected[near], abs=0.05)


def test_an_output_comes_late_by_its_skew():
    codes = np.random.default_rng(3).integers(-127, 128, 256)
    signal = modulated(Light(lines=(carrier(),)), wave(codes), wave(codes[::-1]))
    lo = Light(lines=(carrier(1e-2),))
    skews = (0.0, 7.5, -3.0, 0.0)
    even, rate_hz = received(signal, lo)
    late, _ = received(signal, lo, skew_ps=skews)
    spectrum = np.fft.rfft(even[1]) * np.exp(
        -2j * np.pi * np.fft.rfftfreq(even.shape[1], 1 / rate_hz) * 7.5e-12
    )
    assert late[0] == pytest.approx(even[0])
    assert late[1] == pytest.approx(np.fft.irfft(spectrum, even.shape[1]), abs=1e-6)


def test_a_look_is_the_same_again_and_another_look_has_other_noise():
    signal, lo = Light(lines=(carrier(),)), Light(lines=(carrier(),))
    one, rate_hz = received(signal, lo, linewidth_hz=1e6, self_homodyne=False)
    again, _ = received(signal, lo, linewidth_hz=1e6, self_homodyne=False)
    other, _ = received(signal, lo, linewidth_hz=1e6, self_homodyne=False, time_ps=1)
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)
    assert rate_hz >= RATE_PER_BANDWIDTH * 1e10


def test_slots_arrive_at_their_times():
    """A step in the middle of a frame that began at 40 ps, after a path of 1 ns, seen at a late lab time."""
    codes = [-127] * 8 + [127] * 8
    signal = modulated(Light(lines=(carrier(),)), wave(codes, origin_ps=40)).delayed(1000.0)
    time_ps = 86_400 * 10**12 + 777
    (real, imaginary), rate_hz = received(
        signal, Light(lines=(carrier(1e-2),)), time_ps=time_ps, bandwidth_hz=40e9
    )
    length = len(real)
    numerator, denominator = rate_hz.as_integer_ratio()
    place = time_ps * numerator % (length * 10**12 * denominator) / (10**12 * denominator)
    field = real + 1j * imaginary
    field = (field * np.exp(-1j * np.angle(np.mean(field**2)) / 2)).real
    steps = np.flatnonzero(field * np.roll(field, -1) < 0)
    crossings = steps + field[steps] / (field[steps] - np.roll(field, -1)[steps])
    found_ps = (crossings - place) / rate_hz * 1e12 + (time_ps - 1040) % 1000
    assert len(crossings) == 2 * round(length / rate_hz / 2e-9)
    assert np.abs(found_ps - 1000 * np.round(found_ps / 1000)).max() < 0.5
