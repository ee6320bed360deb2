"""The IQ modulator and the coherent receiver against closed forms written here.

Seeds are fixed. What is estimated from n independent numbers is compared within 4.5 of its standard errors (false alarm
7e-6 each); the variance of n Gaussian numbers has the relative standard error sqrt(2/n).
"""

import math

import numpy as np
import pytest

from sim_devices.firmware.keysight_infiniium import KeysightInfiniium
from sim_devices.twin.baseband import Baseband
from sim_devices.twin.components.coherent_receiver import CoherentReceiver, CoherentReceiverParameters
from sim_devices.twin.light import Light
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings
from tests.physics.coherent_bench import (
    LASER_DBM,
    LO_SHARE,
    PER_SYMBOL,
    SAMPLE_HZ,
    SYMBOL_S,
    SYMBOLS,
    V_PI_V,
    CoherentBench,
    fitted,
    levels,
    sent_fields,
)

SIGMAS = 4.5
ELECTRON_C, PLANCK_J_S, LIGHT_M_PER_S = 1.602176634e-19, 6.62607015e-34, 299_792_458.0
WAVELENGTH_M = 1550e-9
RESPONSIVITY, OHM, THERMAL_A = 0.9, 1000.0, 2e-11
BANDWIDTH_HZ = 20e9
NOISE_BANDWIDTH_HZ = BANDWIDTH_HZ * math.sqrt(math.pi / (4.0 * math.log(2.0)))
"""Of a Gaussian low pass with 3 dB at BANDWIDTH_HZ, one-sided."""
LASER_W = 1e-3 * 10 ** (LASER_DBM / 10)
CARRIER_W = LASER_W * (1.0 - LO_SHARE)
MEAN_SQUARE = np.mean(np.abs(sent_fields()) ** 2)


def lo_per_polarization_w(lo_loss_db=0.0):
    return LASER_W * LO_SHARE * 10 ** (-lo_loss_db / 10) / 2.0


def closed_form_snr(signal_w, lo_w, thermal_a=THERMAL_A, noise_w_per_hz=0.0):
    """R^2 P_s P_lo over the noise of I and Q: [q R (P_s + P_lo) + R^2 P_lo N + i_th^2] B_n in each."""
    density = (
        ELECTRON_C * RESPONSIVITY * (signal_w + lo_w) + RESPONSIVITY**2 * lo_w * noise_w_per_hz + thermal_a**2
    )
    return RESPONSIVITY**2 * signal_w * lo_w / (2.0 * density * NOISE_BANDWIDTH_HZ)


def gram_schmidt(symbols):
    """Q made orthogonal to I, both of equal strength."""
    in_phase, quadrature = symbols.real, symbols.imag
    in_phase = in_phase / np.sqrt(np.mean(in_phase**2))
    quadrature = quadrature - np.mean(quadrature * in_phase) * in_phase
    return in_phase + 1j * quadrature / np.sqrt(np.mean(quadrature**2))


@pytest.mark.parametrize(("signal_loss_db", "lo_loss_db"), [(15, 0), (25, 0), (35, 0), (25, 15.1), (45, 0)])
def test_the_constellation_is_as_noisy_as_shot_and_thermal_noise_make_it(signal_loss_db, lo_loss_db):
    """16-QAM of 8 GBd; at 15.1 dB the local oscillator is at -11.2 dBm, as Ji's is at the receiver."""
    symbols = CoherentBench(signal_loss_db, lo_loss_db).symbols()
    factor, snr = fitted(symbols, sent_fields())
    signal_w, lo_w = CARRIER_W * 10 ** (-signal_loss_db / 10) * MEAN_SQUARE, lo_per_polarization_w(lo_loss_db)
    expected = closed_form_snr(signal_w, lo_w)
    gain_v = OHM * RESPONSIVITY * math.sqrt(CARRIER_W * 10 ** (-signal_loss_db / 10) * lo_w)
    assert snr == pytest.approx(expected, rel=SIGMAS * math.sqrt(2.0 / (2 * symbols.size)))
    error = 1.0 / math.sqrt(2.0 * symbols.size * expected)
    assert abs(factor) == pytest.approx(gain_v, rel=SIGMAS * error + 1e-3)  # 1e-3: symbols' edges


def test_without_thermal_noise_a_symbol_holds_the_signal_to_noise_ratio_of_its_photons():
    """eta P_s / (h nu R_s) in one polarization, R = eta q / (h nu); the noise averaged over each symbol."""
    bench = CoherentBench(40.0, receiver={"thermal_noise_a_per_sqrt_hz": 0.0, "bandwidth_hz": 60e9})
    trace, rate_hz = bench.trace()
    frame = round(SYMBOLS * SYMBOL_S * rate_hz)
    one, other = trace[:frame], trace[frame : 2 * frame]
    averaged = ((one - other) / math.sqrt(2.0)).reshape(SYMBOLS, -1).mean(axis=1)
    signal_w = CARRIER_W * 1e-4 * MEAN_SQUARE
    signal_v2 = OHM**2 * RESPONSIVITY**2 * signal_w * lo_per_polarization_w()
    photon_j = PLANCK_J_S * LIGHT_M_PER_S / WAVELENGTH_M
    efficiency = RESPONSIVITY * photon_j / ELECTRON_C
    expected = efficiency * signal_w / photon_j * SYMBOL_S
    # the low pass takes 1.8 % of the averaged noise: sinc^2 of the symbol beyond it
    snr = signal_v2 / np.mean(np.abs(averaged) ** 2)
    assert snr == pytest.approx(expected, rel=SIGMAS * math.sqrt(2.0 / (2 * SYMBOLS)) + 0.02)


def test_spontaneous_emission_beats_with_the_local_oscillator():
    """At an OSNR of 15 dB in 0.1 nm, both polarizations, R^2 P_lo N is nearly all of the noise."""
    twin = CoherentBench(20.0).twin
    light, lo = twin.arriving("receiver.signal"), twin.arriving("receiver.lo")
    assert isinstance(light, Light)
    assert light.train is not None
    noise_w_per_nm = light.train.power_w / 10 ** (15.0 / 10) / 0.1
    noisy = Light(train=light.train, noise_w_per_nm=noise_w_per_nm, noise_band_nm=1.0)
    parameters = CoherentReceiverParameters(bandwidth_hz=BANDWIDTH_HZ, linewidth_hz=0.0, self_homodyne=True)
    receiver = CoherentReceiver(parameters, KeyedStream(5))
    leaving = receiver.propagate({"signal": noisy, "lo": lo}, Settings({}, {}), ("yi",))["yi"]
    assert isinstance(leaving, Baseband)
    voltage, _ = leaving.trace(0, 2**17)
    per_hz = noise_w_per_nm / 2.0 * 1e9 * WAVELENGTH_M**2 / LIGHT_M_PER_S
    lo_w = lo_per_polarization_w()
    beat = RESPONSIVITY**2 * lo_w * per_hz
    density = beat + ELECTRON_C * RESPONSIVITY * (lo_w + noise_w_per_nm / 2.0) + THERMAL_A**2
    independent = len(voltage) / 128e9 * 2.0 * NOISE_BANDWIDTH_HZ / math.sqrt(2.0)
    expected_v2 = OHM**2 * density * NOISE_BANDWIDTH_HZ
    assert np.var(voltage) == pytest.approx(expected_v2, rel=SIGMAS * math.sqrt(2.0 / independent))
    assert beat > 0.98 * density


def test_the_hybrids_errors_are_found_and_mended_by_gram_schmidt():
    """Every point occurs equally often, so that I and Q are uncorrelated whatever the phase."""
    error_rad, imbalance_db = 0.2, 1.0
    bench = CoherentBench(25.0, receiver={"hybrid_error_rad": error_rad, "gain_imbalance_db": imbalance_db})
    symbols = bench.symbols()
    in_phase, quadrature = symbols.real, symbols.imag
    correlation = np.mean(in_phase * quadrature) / np.sqrt(np.mean(in_phase**2) * np.mean(quadrature**2))
    snr = closed_form_snr(CARRIER_W * 10**-2.5 * MEAN_SQUARE, lo_per_polarization_w())
    tolerance = SIGMAS * math.sqrt(2.0 / snr / symbols.size)
    assert abs(correlation) == pytest.approx(math.sin(error_rad) / (1.0 + 1.0 / snr), abs=tolerance)
    ratio_db = 10.0 * math.log10(np.mean(quadrature**2) / np.mean(in_phase**2))
    assert ratio_db == pytest.approx(imbalance_db, abs=0.02)
    before, after = fitted(symbols, sent_fields())[1], fitted(gram_schmidt(symbols), sent_fields())[1]
    b_over_a = abs((1 - g_exp(imbalance_db, error_rad)) / (1 + g_exp(imbalance_db, -error_rad)))
    assert before == pytest.approx(1.0 / (b_over_a**2 + 1.0 / snr), rel=0.05)
    assert after == pytest.approx(snr, rel=0.1)


def g_exp(imbalance_db, error_rad):
    """g exp(j eps)."""
    return 10 ** (imbalance_db / 20) * np.exp(1j * error_rad)


def test_the_modulators_errors_are_a_share_of_the_conjugate():
    """I + j g exp(j eps) Q = a s + b s*: b/a = (1 - g exp(j eps)) / (1 + g exp(j eps)), whatever the phase."""
    imbalance_db, error_rad = -0.8, 0.12
    modulator = {"amplitude_imbalance_db": imbalance_db, "quadrature_error_rad": error_rad}
    symbols, sent = CoherentBench(15.0, modulator=modulator).symbols(), sent_fields()
    both = np.stack((sent, sent.conj()), axis=1)
    a, b = np.linalg.lstsq(both, symbols.mean(axis=0), rcond=None)[0]
    g = g_exp(imbalance_db, error_rad)
    snr = closed_form_snr(CARRIER_W * 10**-1.5 * MEAN_SQUARE, lo_per_polarization_w())
    assert abs(b / a - (1 - g) / (1 + g)) < SIGMAS / math.sqrt(snr * symbols.size) + 2e-4


def test_the_field_behind_the_modulator_is_that_of_the_textbook():
    """All errors at once, and the extinction by unequal arms: (1 + d)/2 exp(jx) - (1 - d)/2 exp(-jx), over 2j/2."""
    errors = {
        "extinction_db": 25.0, "insertion_loss_db": 6.0, "bias_error_i_v": 0.3, "bias_error_q_v": -0.2,
        "quadrature_error_rad": 0.1, "amplitude_imbalance_db": 0.5,
    }  # fmt: skip
    light = CoherentBench(modulator=errors).twin.leaving("modulator.out")
    assert isinstance(light, Light)
    assert light.train is not None
    assert not light.lines
    train, d = light.train, 10 ** (-25.0 / 20)
    fields = []
    for codes, bias_v in zip(levels(), (0.3, -0.2), strict=True):
        x = 0.5 * np.pi * (codes / 127.0 + bias_v / V_PI_V)
        fields.append(((1 + d) / 2 * np.exp(1j * x) - (1 - d) / 2 * np.exp(-1j * x)) / 1j)
    expected = 0.5 * (fields[0] + 1j * g_exp(0.5, 0.1) * fields[1]) * 10 ** (-6.0 / 20)
    photons = CARRIER_W / (PLANCK_J_S * LIGHT_M_PER_S / WAVELENGTH_M) / SAMPLE_HZ
    found = train.amplitudes[train.slots].reshape(SYMBOLS, PER_SYMBOL, 2)
    assert found[:, :, 1] == pytest.approx(0.0)
    assert found[:, :, 0] == pytest.approx(
        np.sqrt(photons) * np.repeat(expected[:, None], PER_SYMBOL, 1), rel=1e-9
    )
    assert light.power_w == pytest.approx(CARRIER_W * np.mean(np.abs(expected) ** 2), rel=1e-9)


def test_biased_at_the_null_the_modulator_extinguishes_as_its_children_do():
    """Both children shut, d^2 below both open: |d (1 + j)|^2 / 4 against |1 + j|^2 / 4."""
    shut = CoherentBench(modulator={"extinction_db": 20.0}).unmodulated().twin.leaving("modulator.out")
    opened = {"extinction_db": 20.0, "bias_error_i_v": V_PI_V, "bias_error_q_v": V_PI_V}
    full = CoherentBench(modulator=opened).unmodulated().twin.leaving("modulator.out")
    assert isinstance(shut, Light)
    assert isinstance(full, Light)
    assert shut.power_w / full.power_w == pytest.approx(0.01)
    assert full.power_w == pytest.approx(CARRIER_W / 2.0)
    assert full.train is None


OPEN = {"bias_error_i_v": V_PI_V}
"""The child I fully open and Q shut: a carrier."""
LONG = {"baseband_points": 2**20}


@pytest.mark.parametrize("mismatch_m", [1.0, 0.05])
def test_the_phase_of_a_self_homodyne_link_is_that_of_its_mismatch(mismatch_m):
    """2 pi dnu dtau: 100 kHz and 1 m of fibre (index 1.468) make 3.1e-3 rad^2; correlated over dtau (a triangle)."""
    delay_s = mismatch_m * 1.468 / LIGHT_M_PER_S
    receiver = {
        "bandwidth_hz": 10e9, "linewidth_hz": 1e5, "path_mismatch_ps": delay_s * 1e12,
        "thermal_noise_a_per_sqrt_hz": 0.0,
    }  # fmt: skip
    bench = CoherentBench(modulator=OPEN, receiver=receiver, scope_xi=LONG, scope_xq=LONG)
    trace, rate_hz = bench.unmodulated().trace()
    phase = np.angle(trace * np.exp(-1j * np.angle(trace.mean())))
    noise_rad2 = 0.5 / closed_form_snr_of_carrier(1e10)
    effective = len(phase) / rate_hz / (2.0 / 3.0 * delay_s)
    expected = 2.0 * math.pi * 1e5 * delay_s
    if mismatch_m == 1.0:
        assert expected == pytest.approx(3e-3, rel=0.05)
    # the low pass (13 ps rms) takes sqrt(2) x 13 ps x sqrt(2/pi) of the delay
    smoothed = 1.0 - 0.1325 / 10e9 * 2.0 / math.sqrt(math.pi) / delay_s
    tolerance = SIGMAS * math.sqrt(2.0 / min(effective, len(phase) / 6.0))
    assert np.var(phase) - noise_rad2 == pytest.approx(expected * smoothed, rel=tolerance)


def closed_form_snr_of_carrier(bandwidth_hz):
    """Of an unattenuated carrier, one child open (a quarter of the power), no thermal noise."""
    signal_w, lo_w = CARRIER_W / 4.0, lo_per_polarization_w()
    noise_hz = NOISE_BANDWIDTH_HZ / BANDWIDTH_HZ * bandwidth_hz
    return RESPONSIVITY * signal_w * lo_w / (2.0 * ELECTRON_C * (signal_w + lo_w) * noise_hz)


def test_a_free_running_local_oscillator_walks_and_all_outputs_see_the_same_walk():
    """Increments over t have the variance 2 pi dnu t; the modulus of I + jQ stays as it is."""
    receiver = {
        "linewidth_hz": 1e6, "self_homodyne": False, "bandwidth_hz": 10e9, "thermal_noise_a_per_sqrt_hz": 0.0,
    }  # fmt: skip
    bench = CoherentBench(modulator=OPEN, receiver=receiver, scope_xi=LONG, scope_xq=LONG)
    trace, rate_hz = bench.unmodulated().trace()
    step = round(10e-9 * rate_hz)
    phase = np.unwrap(np.angle(trace))[step:-step:step]  # the ends join, and are left out
    increments = np.diff(phase)
    expected = 2.0 * math.pi * 1e6 * step / rate_hz
    assert np.var(increments) == pytest.approx(expected, rel=SIGMAS * math.sqrt(2.0 / len(increments)) + 2e-3)
    assert np.std(np.abs(trace)[step:-step]) < 1e-2 * np.mean(np.abs(trace))


def test_an_oscilloscope_reads_the_constellation():
    """Instrument to instrument: from the generator's codes to the oscilloscope's words, no symbol wrong of 1024."""
    bench = CoherentBench(20.0)
    handles = {str(number): bench.twin.handle(f"scope_{name}") for number, name in ((1, "xi"), (2, "xq"))}
    session = KeysightInfiniium(handles, serial_number="SIM-1").session()
    points = round(SYMBOLS * SYMBOL_S * 80e9)
    setup = f":SYST:HEAD OFF;:WAV:FORM WORD;BYT LSBF;STR ON;:ACQ:POIN {points};SRAT 80E9;:TRIG:SWE AUTO\n"
    session.feed(setup.encode())
    session.feed(b":CHAN1:RANG 1.0;:CHAN2:RANG 1.0;:TRIG:LEV CHAN1,0.0;:DIG CHAN1,CHAN2\n")
    volts = []
    for channel in ("CHAN1", "CHAN2"):
        words = np.frombuffer(session.feed(f":WAV:SOUR {channel};DATA?\n".encode())[2:-1], "<i2")
        fields = session.feed(b":WAV:PRE?\n").decode().split(",")
        volts.append(words * float(fields[7]) + float(fields[8]))
    record, sent = volts[0] + 1j * volts[1], sent_fields()
    assert len(record) == points
    turns = [record[first::10] for first in range(10)]
    found = [np.fft.ifft(np.fft.fft(turn) * np.fft.fft(sent).conj()) for turn in turns]
    strongest = max(range(10), key=lambda first: np.abs(found[first]).max())
    symbols = np.roll(turns[strongest], -int(np.abs(found[strongest]).argmax()))
    factor, snr = fitted(symbols, sent)
    alphabet = np.unique(sent)
    decided = alphabet[np.argmin(np.abs(symbols[:, None] / factor - alphabet), axis=1)]
    assert np.array_equal(decided, sent)
    # no better than the receiver, and at worst what 0.4 % of the screen and its 240 levels add
    screen_v2 = 1.0**2 * (0.004**2 + 1 / 240**2 / 12.0)
    signal_v2 = (abs(factor) ** 2) * MEAN_SQUARE
    receiver = closed_form_snr(CARRIER_W * 0.01 * MEAN_SQUARE, lo_per_polarization_w())
    assert 1.0 / (1.0 / receiver + 2.0 * screen_v2 / signal_v2) * 0.8 < snr < receiver * 1.2
