"""From a waveform to the alphabet of a pulse train."""

from fractions import Fraction

import numpy as np
import pytest

from sim_devices.twin.component import Signal
from sim_devices.twin.components.modulators import (
    IntensityModulator,
    IntensityModulatorParameters,
    PolarizationModulator,
    PolarizationModulatorParameters,
)
from sim_devices.twin.components.sources import (
    PulsedLaser,
    PulsedLaserParameters,
    WaveformSource,
    WaveformSourceParameters,
    rising_edges,
    slots_of_edges,
)
from sim_devices.twin.electrical import OFF, Waveform
from sim_devices.twin.light import Light, PulseTrain
from sim_devices.twin.polarization import phase_state
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

NO_SETTINGS = Settings({}, {})
STREAM = KeyedStream(1)


def waveform(codes: list[int] | np.ndarray, amplitude_v: float = 1.0) -> Waveform:
    samples = np.array(codes, dtype=np.int8)
    return Waveform(samples, Fraction(125), Fraction(0), amplitude_v / 254.0, 0.0)


def fired(trigger: Waveform, **parameters: float) -> Light:
    laser = PulsedLaser(PulsedLaserParameters(1550.0, 4.0, **parameters), STREAM)
    light = laser.propagate({"trigger": trigger}, NO_SETTINGS, ("out",))["out"]
    assert isinstance(light, Light)
    return light


def train_of(signal: Signal) -> PulseTrain:
    assert isinstance(signal, Light)
    assert signal.train is not None
    return signal.train


def test_one_pulse_at_each_rising_edge():
    train = train_of(fired(waveform([127, 127, -127, -127] * 5)))
    assert train.slot_ps == 500
    assert train.frame_ps == 2500
    assert train.mean_photons[train.slots] == pytest.approx(np.full(5, 4.0))


def test_an_edge_may_lie_across_the_wrap():
    assert list(rising_edges(np.array([-5, -5, 127, 127], np.int8))) == [2]
    assert list(rising_edges(np.array([127, -5, -5, -5], np.int8))) == [0]
    assert list(rising_edges(np.array([127, 127, -5, 127], np.int8))) == [3]


def test_missing_pulses_are_empty_slots():
    edges = np.array([2, 6, 14])
    samples_per_slot, slots, phase = slots_of_edges(edges, 16)
    assert (samples_per_slot, phase) == (4, 2)
    assert list(slots) == [1, 1, 0, 1]


@pytest.mark.parametrize("trigger", [OFF, waveform([3] * 8), waveform([127, -127] * 4, amplitude_v=0.09)])
def test_no_pulses_without_edges_or_swing(trigger: Waveform):
    assert fired(trigger).is_dark


def test_pulse_power_is_photons_times_rate():
    light = fired(waveform([127, 127, -127, -127]))
    assert light.power_w == pytest.approx(4.0 * 1.2816e-19 * 2e9, rel=1e-3)


@pytest.mark.parametrize(("voltage_v", "transmission"), [(0.4, 1.0), (0.0, 0.5), (-0.4, 1e-3)])
def test_intensity_follows_the_mach_zehnder(voltage_v: float, transmission: float):
    modulator = IntensityModulator(IntensityModulatorParameters(0.8, 0.4, extinction_db=30.0), STREAM)
    assert modulator.transmission(np.array([voltage_v]))[0] == pytest.approx(transmission, rel=2e-3)


def test_each_pulse_has_the_intensity_of_its_own_slot():
    trigger = waveform([127, 127, -127, -127] * 3)
    rf = waveform([102] * 4 + [0] * 4 + [-102] * 4)
    modulator = IntensityModulator(
        IntensityModulatorParameters(0.8, 0.4, 30.0, insertion_loss_db=3.0), STREAM
    )
    light = fired(trigger, trigger_delay_ps=250.0)
    train = train_of(modulator.propagate({"in": light, "rf": rf}, NO_SETTINGS, ("out",))["out"])
    half = 10**-0.3
    assert train.mean_photons[train.slots] == pytest.approx([4.0 * half, 2.0 * half, 0.004 * half], rel=0.01)


def test_the_voltage_is_taken_when_the_pulse_passes():
    trigger = waveform([127, 127, -127, -127])
    rf = waveform([0, 100, 0, 0])
    seen = []
    for delay_ps in (0.0, 100.0, 130.0, 240.0, 260.0):
        modulator = IntensityModulator(
            IntensityModulatorParameters(0.8, 0.0, 60.0, rf_delay_ps=-delay_ps), STREAM
        )
        train = train_of(modulator.propagate({"in": fired(trigger), "rf": rf}, NO_SETTINGS, ("out",))["out"])
        seen.append(float(train.mean_photons[train.slots[0]]) > 0.1)
    assert seen == [False, False, True, True, False]


def test_four_voltages_give_the_four_states():
    trigger = waveform([127, 127, -127, -127] * 4)
    rf = waveform(np.repeat([-96, -32, 32, 96], 4))
    step_v = 64 / 254
    own = PolarizationModulatorParameters(v_pi_v=2 * step_v, v_at_zero_v=-96 / 254)
    modulator = PolarizationModulator(own, STREAM)
    train = train_of(modulator.propagate({"in": fired(trigger), "rf": rf}, NO_SETTINGS, ("out",))["out"])
    for slot, phase_rad in enumerate((0.0, np.pi / 2, np.pi, 3 * np.pi / 2)):
        overlap = abs(np.vdot(phase_state(phase_rad), train.amplitudes[train.slots[slot]])) ** 2
        assert overlap == pytest.approx(4.0)


def test_a_waveform_must_fit_the_train():
    modulator = IntensityModulator(IntensityModulatorParameters(0.8, 0.4, 30.0), STREAM)
    light = fired(waveform([127, 127, -127, -127]))
    with pytest.raises(ValueError, match="does not fit"):
        modulator.propagate({"in": light, "rf": waveform([0] * 6)}, NO_SETTINGS, ("out",))


def test_the_generator_scales_codes_and_is_silent_when_off():
    source = WaveformSource(WaveformSourceParameters(), STREAM)
    samples = np.array([127, -127, 0, 0], np.int8)
    values = {
        "waveforms": (samples, samples, None, None),
        "sample_rate_hz": 16e9,
        "amplitude_v": (0.5,) * 4,
        "offset_v": (0.1,) * 4,
        "output_on": (True, False, True, True),
        "running": True,
    }
    settings = Settings(values, {**dict.fromkeys(values, 40), "running": 70, "amplitude_v": 900})
    outputs = source.propagate({}, settings, ("1", "2", "3"))
    first = outputs["1"]
    assert isinstance(first, Waveform)
    assert list(first.voltages_v(samples)) == pytest.approx([0.35, -0.15, 0.1, 0.1])
    assert (first.sample_ps, first.origin_ps) == (Fraction(125, 2), 70)
    assert outputs["2"] is OFF
    assert outputs["3"] is OFF


@pytest.mark.parametrize(
    "waveforms",
    [
        (np.zeros(4, np.int8), np.zeros(5, np.int8), None, None),
        (np.zeros(4, np.int8), None),
        (np.array([0.5]), None, None, None),
        (np.array([], np.int8), None, None, None),
        "1234x",
    ],
)
def test_the_generator_refuses_unfit_waveforms(waveforms: object):
    source = WaveformSource(WaveformSourceParameters(), STREAM)
    with pytest.raises(ValueError, match="waveforms"):
        source.checked("waveforms", waveforms)


def test_the_generator_keeps_its_own_copy():
    source = WaveformSource(WaveformSourceParameters(), STREAM)
    mine = np.ones(4, np.int8)
    kept = source.checked("waveforms", (mine, None, None, None))
    mine[:] = 5
    assert isinstance(kept, tuple)
    assert list(kept[0]) == [1, 1, 1, 1]
