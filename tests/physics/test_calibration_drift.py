"""What instruments set and what the light feels, when a calibration is off and drifts.

From what is felt, the drifting parameter is worked out by a formula of its own at 300 instants far apart. The sum of
many oscillations is close to normal and its values at such instants are close to independent: the mean is then known to
rms / sqrt(300), the spread to 4 %. Five of these are allowed (false alarm 6e-7 each), and the spread may be off by
another 5 % because a sum of oscillations is not noise. Seeds are fixed.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from qdci_lab.units import photon_energy_j
from sim_devices.config import find_mistakes, load_twin
from sim_devices.twin.components import COMPONENTS
from sim_devices.twin.electrical import ClickProcess, Waveform
from sim_devices.twin.layout import ComponentSpec, DriftSpec, Layout, Link, PortAddress
from sim_devices.twin.light import Light
from sim_devices.twin.twin import Twin

INSTANTS, APART_S = 300, 7_919.0
STEP_S = 10.0
LASER = ("cw_laser", {})
LIT = {"emission_on": True, "power_dbm": 0.0}
LASER_W = 1e-3
DIODE = ("led", {"maximum_power_dbm": -60.0, "maximum_current_ma": 45.0, "bandwidth_nm": 50.0})
DIODE_LIT = {"emission_on": True, "current_a": 0.045}
DIODE_HZ = 1e-9 / photon_energy_j(1550e-9)
AWG = ("waveform_source", {})
SQUARE = np.repeat(np.array([127, -127], np.int8), 8)
PLAYING = {
    "waveforms": (SQUARE, None, None, None), "amplitude_v": (0.5,) * 4, "output_on": (True,) * 4, "running": True,
}  # fmt: skip
PULSES = ("pulsed_laser", {"wavelength_nm": 1550.0, "mean_photons": 2.0, "trigger_delay_ps": 100.0})
AVALANCHE = {
    "number": 1, "efficiency": 0.2, "dark_rate_hz": 500.0, "dead_time_ns": 100.0, "afterpulse_probability": 0.0,
    "afterpulse_time_us": 1.0, "jitter_ps": 0.0,
}  # fmt: skip
NANOWIRES = {"efficiency": (0.8, 0.7), "dark_rate_hz": (30.0, 20.0), "recovery_ns": 50.0, "jitter_ps": 40.0}


def light(twin: Twin, port: str) -> Light:
    found = twin.leaving(port)
    assert isinstance(found, Light)
    return found


def decibel(ratio: float) -> float:
    return 10.0 * math.log10(ratio)


def train_photons(twin: Twin, port: str) -> float:
    train = light(twin, port).train
    assert train is not None
    return float(train.mean_photons[train.slots].max())


def law(twin: Twin, port: str = "part.1") -> ClickProcess:
    found = twin.leaving(port)
    assert isinstance(found, ClickProcess)
    return found


def volts(twin: Twin) -> tuple[float, float]:
    """Amplitude and offset of the first output."""
    found = twin.leaving("part.1")
    assert isinstance(found, Waveform)
    high, low = found.voltages_v(np.array([127, -127]))
    return float(high - low), float(high + low) / 2.0


def delay_ps(twin: Twin) -> float:
    train = light(twin, "part.out").train
    assert train is not None
    return train.delay_ps


def modulator_bias_v(twin: Twin) -> float:
    """At 0 V: P / P_0 = floor + (1 - floor) sin^2(pi/2 V_bias / V_pi), with a floor of 30 dB."""
    sine = (light(twin, "part.out").power_w / LASER_W - 1e-3) / (1.0 - 1e-3)
    return 0.8 * math.asin(math.sqrt(sine)) / (math.pi / 2.0)


def interferometer_phase_rad(twin: Twin) -> float:
    """Dark output: (1 - V cos(phase)) / 2 of the monitored tenth of two photons, V = 0.98."""
    share = train_photons(twin, "part.dark") / (2.0 * 0.1)
    return math.acos((1.0 - 2.0 * share) / 0.98)


def azimuth_deg(twin: Twin) -> float:
    (line,) = light(twin, "part.out").lines
    assert line.jones is not None
    return math.degrees(math.atan(float((line.jones[1] / line.jones[0]).real)))


def polarization_zero_v(twin: Twin) -> float:
    """Without a voltage, V is late against H by -pi V_zero / V_pi."""
    train = light(twin, "part.out").train
    assert train is not None
    horizontal, vertical = train.amplitudes[train.slots[0]]
    return -0.5 / math.pi * float(np.angle(vertical / horizontal))


def half_wave_v(twin: Twin) -> float:
    """0.6 V on a squeezer at 45 degrees: sin^2(pi V / 2 V_pi) of the light that came as H leaves as V."""
    (line,) = light(twin, "part.out").lines
    assert line.jones is not None
    return math.pi * 0.6 / (2.0 * math.asin(abs(line.jones[1])))


@dataclass(frozen=True)
class Case:
    """A part, what stands before it, what drifts, and the formula that finds the drifting number in what is felt."""

    part: tuple[str, Mapping[str, Any]]
    parameter: str
    value: float
    rms: float
    felt: Callable[[Twin], float]
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    links: tuple[str, ...] = ()


LASER_BEFORE: dict[str, Any] = {"before": {"laser": LASER}, "links": ("laser.out part.in",)}
PULSES_BEFORE: dict[str, Any] = {
    "before": {"awg": AWG, "pulses": PULSES}, "links": ("awg.1 pulses.trigger", "pulses.out part.in"),
}  # fmt: skip
DIODE_BEFORE: dict[str, Any] = {"before": {"diode": DIODE}, "links": ("diode.out part.1",)}

CASES = {
    "attenuator's offset": Case(
        ("attenuator", {"offset_db": 0.1}), "offset_db", 0.1, 0.05,
        lambda twin: -decibel(light(twin, "part.out").power_w / LASER_W) - 10.0,
        {"attenuation_db": 10.0, "shutter_open": True}, **LASER_BEFORE,
    ),
    "attenuator's scale": Case(
        ("attenuator", {}), "scale", 1.0, 0.01,
        lambda twin: -decibel(light(twin, "part.out").power_w / LASER_W) / 20.0,
        {"attenuation_db": 20.0, "shutter_open": True}, **LASER_BEFORE,
    ),
    "attenuator's monitors": Case(
        ("attenuator", {"monitor_error_db": 0.2}), "monitor_error_db", 0.2, 0.1,
        lambda twin: decibel(twin.handle("part").sense("output_power_w") / (LASER_W / 10.0)),
        {"attenuation_db": 10.0, "shutter_open": True}, **LASER_BEFORE,
    ),
    "laser's power": Case(
        ("cw_laser", {"calibration_error_db": -0.3}), "calibration_error_db", -0.3, 0.1,
        lambda twin: decibel(light(twin, "part.out").power_w / LASER_W), LIT,
    ),
    "laser's wavelength": Case(
        ("cw_laser", {"wavelength_error_nm": 0.01}), "wavelength_error_nm", 0.01, 0.002,
        lambda twin: light(twin, "part.out").lines[0].wavelength_m * 1e9 - 1550.0, LIT,
    ),
    "pulsed laser's energy": Case(
        PULSES, "mean_photons", 2.0, 0.05, lambda twin: train_photons(twin, "part.out"),
        before={"awg": AWG}, links=("awg.1 part.trigger",),
    ),
    "diode's power": Case(
        DIODE, "power_error_db", 0.0, 0.1, lambda twin: decibel(light(twin, "part.out").power_w / 1e-9), DIODE_LIT,
    ),
    "transceiver's power": Case(
        ("transceiver", {"wavelength_nm": 1546.12, "power_dbm": 0.0}), "power_dbm", 0.0, 0.2,
        lambda twin: decibel(light(twin, "part.out").power_w / 1e-3),
    ),
    "power sensor": Case(
        ("power_sensor", {"calibration_error_db": 0.1}), "calibration_error_db", 0.1, 0.05,
        lambda twin: decibel(twin.handle("part").sense("power_w") / LASER_W), **LASER_BEFORE,
    ),
    "amplifier's monitor": Case(
        ("amplifier", {"maximum_output_dbm": 23.0, "maximum_gain_db": 30.0, "noise_figure_db": 5.0}),
        "monitor_error_db", 0.0, 0.1,
        lambda twin: 15.0 - decibel(light(twin, "part.out").power_w / 1e-3),
        {"emission_on": True, "control": "ALC", "output_power_dbm": 15.0}, **LASER_BEFORE,
    ),
    "amplifier's pump": Case(
        ("amplifier", {"maximum_output_dbm": 23.0, "maximum_gain_db": 30.0, "noise_figure_db": 5.0}),
        "threshold_ma", 50.0, 1.0,
        lambda twin: 200.0 - light(twin, "part.out").power_w / 4e-4,
        {"emission_on": True, "control": "ACC", "pump_current_ma": 200.0}, **LASER_BEFORE,
    ),
    "generator's amplitude": Case(
        AWG, "amplitude_scale", 1.0, 0.01, lambda twin: volts(twin)[0] / 0.5, PLAYING,
    ),
    "generator's offset": Case(
        ("waveform_source", {"offset_error_v": (0.01, 0.0, 0.0, 0.0)}), "offset_error_v", 0.01, 0.002,
        lambda twin: volts(twin)[1], PLAYING,
    ),
    "modulator's bias": Case(
        ("intensity_modulator", {"v_pi_v": 0.8, "v_bias_v": 0.4, "extinction_db": 30.0}), "v_bias_v", 0.4, 0.01,
        modulator_bias_v, **LASER_BEFORE,
    ),
    "carver's bias": Case(
        ("pulse_carver", {"v_pi_v": 0.8, "v_bias_v": 0.4, "extinction_db": 30.0}), "v_bias_v", 0.4, 0.01,
        modulator_bias_v, **LASER_BEFORE,
    ),
    "switch's loss": Case(
        ("optical_switch", {"ingress": 2, "egress": 2, "insertion_loss_db": 1.0}), "insertion_loss_db", 1.0, 0.05,
        lambda twin: -decibel(light(twin, "part.4").power_w / LASER_W),
        {"connections": frozenset({(2, 4)})}, {"laser": LASER}, ("laser.out part.2",),
    ),
    "coupler's tap": Case(
        ("coupler", {"tap_share": 0.1}), "tap_share", 0.1, 0.002,
        lambda twin: light(twin, "part.tap").power_w / LASER_W, **LASER_BEFORE,
    ),
    "filter's loss": Case(
        ("optical_filter", {"centre_nm": 1550.0, "bandwidth_nm": 0.8, "isolation_db": 60.0, "insertion_loss_db": 2.0}),
        "insertion_loss_db", 2.0, 0.1, lambda twin: -decibel(light(twin, "part.out").power_w / LASER_W), **LASER_BEFORE,
    ),
    "delay line's offset": Case(
        ("delay_line", {"offset_ps": 3.0}), "offset_ps", 3.0, 1.0, lambda twin: delay_ps(twin) - 100.0 - 200.0,
        {"delay_ps": 200.0}, **PULSES_BEFORE,
    ),
    "delay line's scale": Case(
        ("delay_line", {"scale": 1.02}), "scale", 1.02, 0.005, lambda twin: (delay_ps(twin) - 100.0) / 200.0,
        {"delay_ps": 200.0}, **PULSES_BEFORE,
    ),
    "synthesizer's azimuth": Case(
        ("polarization_synthesizer", {"azimuth_error_deg": 1.0}), "azimuth_error_deg", 1.0, 0.5, azimuth_deg,
        {"stokes": (1.0, 0.0, 0.0)}, **LASER_BEFORE,
    ),
    "decoder's error": Case(
        ("polarization_decoder", {"receiver_loss_db": 0.0, "intrinsic_error": 0.02}), "intrinsic_error", 0.02, 0.001,
        lambda twin: train_photons(twin, "part.z1") / train_photons(twin, "pulses.out") * 2.0, **PULSES_BEFORE,
    ),
    "three-state decoder's error": Case(
        ("three_state_decoder", {"receiver_loss_db": 0.0, "z_error": 0.02, "x_error": 0.01}), "z_error", 0.02, 0.001,
        lambda twin: train_photons(twin, "part.z1") / train_photons(twin, "pulses.out") * 2.0, **PULSES_BEFORE,
    ),
    "polarization modulator's zero": Case(
        ("polarization_modulator", {"v_pi_v": 0.5, "v_at_zero_v": -0.1}), "v_at_zero_v", -0.1, 0.005,
        polarization_zero_v, **PULSES_BEFORE,
    ),
    "controller's half wave": Case(
        ("polarization_controller", {"v_pi_v": 1.4}), "v_pi_v", 1.4, 0.02, half_wave_v,
        {"voltages_v": (0.0, 0.6, 0.0, 0.0)}, **LASER_BEFORE,
    ),
    "interferometer's phase": Case(
        ("cow_decoder", {
            "receiver_loss_db": 0.0, "data_share": 0.9, "interferometer_delay_ps": 1000.0, "visibility": 0.98,
            "phase_error_rad": 0.6,
        }), "phase_error_rad", 0.6, 0.05, interferometer_phase_rad, **PULSES_BEFORE,
    ),
    "detector's efficiency": Case(
        ("single_photon_detectors", AVALANCHE), "efficiency", 0.2, 0.005,
        lambda twin: law(twin).noise_hz / DIODE_HZ, **DIODE_BEFORE,
    ),
    "detector's darks": Case(
        ("single_photon_detectors", AVALANCHE), "dark_rate_hz", 500.0, 20.0, lambda twin: law(twin).dark_hz,
        **DIODE_BEFORE,
    ),
    "nanowire's efficiency": Case(
        ("snspd", NANOWIRES), "efficiency", 0.8, 0.01, lambda twin: law(twin).noise_hz / DIODE_HZ,
        {"bias_ua": (20.0, 20.0), "trigger_mv": (100.0, 100.0), "enabled": True}, **DIODE_BEFORE,
    ),
}  # fmt: skip


def address(text: str) -> PortAddress:
    component, _, port = text.partition(".")
    return PortAddress(component, port)


def bench(case: Case, *, drifting: bool = True, seed: int = 11) -> Twin:
    parts = {**case.before, "part": case.part}
    drift = DriftSpec("part", case.parameter, case.rms, shortest_s=60.0, longest_s=6000.0, step_s=STEP_S)
    twin = Twin(
        Layout(
            seed,
            {name: ComponentSpec(*kind) for name, kind in parts.items()},
            tuple(Link(*map(address, text.split())) for text in case.links),
            drifts=(drift,) if drifting else (),
        )
    )
    lit = {"laser": LIT, "awg": PLAYING, "diode": DIODE_LIT}
    for name in case.before:
        if name in lit:
            twin.handle(name).apply(**lit[name])
    twin.handle("part").apply(**case.settings)
    return twin


@pytest.mark.parametrize("name", CASES)
def test_a_calibration_wanders_about_its_value_by_its_rms(name: str):
    case = CASES[name]
    assert case.felt(bench(case, drifting=False)) == pytest.approx(
        case.value, abs=1e-6 + 1e-6 * abs(case.value)
    )
    twin, found = bench(case), []
    for _ in range(INSTANTS):
        twin.lab_time.advance_by(round(APART_S * 1e12))
        found.append(case.felt(twin))
    off = np.array(found) - case.value
    assert abs(off.mean()) < 5.0 * case.rms / INSTANTS**0.5
    assert off.std() == pytest.approx(case.rms, rel=5.0 / (2 * INSTANTS) ** 0.5 + 0.05)


def test_what_drifts_stands_still_within_a_step_and_is_the_same_again():
    case = CASES["attenuator's offset"]
    one, other = bench(case), bench(case)
    trace = []
    for _ in range(40):
        trace.append(case.felt(one))
        one.lab_time.advance_by(round(STEP_S / 4 * 1e12))
    steps = np.array(trace).reshape(10, 4)
    assert np.all(steps == steps[:, :1])
    assert len(np.unique(steps)) == 10
    other.lab_time.advance_by(round(9 * STEP_S * 1e12))
    assert case.felt(other) == steps[9, 0]
    assert case.felt(bench(case, seed=12)) != steps[0, 0]


def test_the_numbers_of_several_outputs_drift_each_by_itself():
    case = Case(
        ("snspd", NANOWIRES), "efficiency", 0.8, 0.01, lambda twin: law(twin).noise_hz,
        {"bias_ua": (20.0, 20.0), "trigger_mv": (100.0, 100.0), "enabled": True},
        {"diode": DIODE, "splitter": ("splitter", {"ways": 2})},
        ("diode.out splitter.in", "splitter.1 part.1", "splitter.2 part.2"),
    )  # fmt: skip
    twin, found = bench(case), []
    for _ in range(200):
        twin.lab_time.advance_by(round(APART_S * 1e12))
        found.append([law(twin, f"part.{port}").noise_hz * 2.0 / DIODE_HZ for port in "12"])
    efficiencies = np.array(found)
    assert efficiencies.mean(axis=0) == pytest.approx([0.8, 0.7], abs=5.0 * 0.01 / 200**0.5)
    # independent: 0 give or take 1 / sqrt(200); five of these
    assert abs(np.corrcoef(efficiencies.T)[0, 1]) < 5.0 / 200**0.5


def test_an_average_over_lab_time_goes_through_the_drift():
    """A sensor read for 100 s shows the mean of the ten steps that it read."""
    case = CASES["power sensor"]
    twin = bench(case)
    powers_w = []
    for _ in range(10):
        powers_w.append(twin.handle("part").sense("power_w"))
        twin.lab_time.advance_by(round(STEP_S * 1e12))
    assert twin.handle("part").sense("power_w", 100.0) == pytest.approx(np.mean(powers_w), rel=1e-12)
    assert np.std(powers_w) > 0.0


@pytest.mark.parametrize("name", COMPONENTS)
def test_what_is_called_a_calibration_is_a_number_or_several(name: str):
    hints = get_type_hints(COMPONENTS[name].Parameters)
    for parameter in COMPONENTS[name].CALIBRATIONS:
        hint = hints[parameter]
        assert hint is float or set(get_args(hint)) <= {float, Ellipsis}, parameter


TOML = """
seed = 1
[components.laser]
type = "cw_laser"
[components.voa]
type = "attenuator"
[components.tagger]
type = "time_tagger"
channel_delays_ps = [1000.0]
"""


@pytest.mark.parametrize(
    ("drift", "key", "reason"),
    [
        ('component = "voa"\nparameter = "offset_db"\nrms = 0.05', None, ""),
        ('component = "vao"\nparameter = "offset_db"\nrms = 0.05', "drifts[0].component", "voa"),
        ('component = "voa"\nparameter = "ofset_db"\nrms = 0.05', "drifts[0].parameter", "no calibration"),
        ('component = "tagger"\nparameter = "jitter_ps"\nrms = 0.05', "drifts[0].parameter", "calibrations: none"),
        ('component = "voa"\nparameter = "offset_db"\nrms = 0.6', "drifts[0].rms", "out of its bounds"),
        ('component = "voa"\nparameter = "insertion_loss_db"\nrms = 0.1', "drifts[0].rms", "or equal to 0"),
        ('component = "voa"\nparameter = "scale"\nrms = 0.01\nlongest_s = 60.0', "drifts[0].shortest_s", "not shorter"),
        ('component = "voa"\nparameter = "scale"\nrms = -0.01', "drifts[0].rms", "greater than 0"),
    ],
)  # fmt: skip
def test_drifts_are_read_and_their_mistakes_told(tmp_path: Path, drift: str, key: str | None, reason: str):
    (tmp_path / "twin.toml").write_text(f"{TOML}[[drifts]]\n{drift}\n", encoding="utf-8")
    (tmp_path / "sim.toml").write_text("[addresses]\n", encoding="utf-8")
    mistakes = find_mistakes(tmp_path)
    if key is None:
        assert mistakes == []
        assert load_twin(tmp_path).drifts == (DriftSpec("voa", "offset_db", 0.05),)
        return
    assert any(mistake.key == key and reason in str(mistake) for mistake in mistakes), mistakes
