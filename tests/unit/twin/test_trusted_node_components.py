"""Light-emitting diode, transceiver, fibre in the ground, nanowires, three-state decoder: each by itself."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm

from qdci_lab.units import photon_energy_j
from sim_devices.twin.components.deployed_fibre import DeployedFibre, DeployedFibreParameters
from sim_devices.twin.components.incoherent import Led, LedParameters, Transceiver, TransceiverParameters
from sim_devices.twin.components.multicore_fibre import MulticoreFibre, MulticoreFibreParameters
from sim_devices.twin.components.optical_switch import OpticalSwitch, OpticalSwitchParameters
from sim_devices.twin.components.snspd import Snspd, SnspdParameters
from sim_devices.twin.components.three_state import ThreeStateDecoder, ThreeStateDecoderParameters
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.light import Light, Line
from sim_devices.twin.polarization import PolarizationDrift, phase_state
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.timeline import Settings

STREAM = KeyedStream(3, ("part",))
FALSE_ALARM = 1e-4


def light_of(component: Any, port: str = "out", inputs: Any = None, step: int = 0, **settings: Any) -> Light:
    held = {**component.defaults, **settings}
    found = component.propagate(inputs or {}, Settings(held, dict.fromkeys(held, 0), step), (port,))[port]
    assert isinstance(found, Light)
    return found


@pytest.mark.parametrize(("current_a", "share"), [(0.045, 1.0), (0.018, 0.4), (0.09, 1.0), (0.0, 0.0)])
def test_the_diode_gives_its_power_over_its_width(current_a, share):
    """-24.6 dBm over 50 nm at 45 mA: 3.467 uW, 69 nW per nm; 0.4 of it at 18 mA, no more beyond 45 mA."""
    led = Led(LedParameters(-24.6, 45.0, 50.0), STREAM)
    light = light_of(led, emission_on=True, current_a=current_a)
    assert light.power_w == pytest.approx(3.4674e-6 * share, rel=1e-4)
    assert light.noise_w_per_nm == pytest.approx(6.9347e-8 * share, rel=1e-4)
    assert light_of(led, emission_on=False, current_a=current_a).is_dark


def test_a_diode_that_saturates_and_is_miscalibrated():
    led = Led(LedParameters(-24.6, 45.0, 50.0, exponent=0.8, power_error_db=-1.0), STREAM)
    light = light_of(led, emission_on=True, current_a=0.0225)
    assert light.power_w == pytest.approx(3.4674e-6 * 10**-0.1 * 0.5**0.8, rel=1e-4)


def test_a_transceiver_shines_and_its_filter_keeps_its_floor_from_the_quantum_channel():
    light = light_of(Transceiver(TransceiverParameters(1546.12, 0.0, 1e-7, 50.0), STREAM))
    (line,) = light.lines
    assert (line.wavelength_m, line.power_w) == (pytest.approx(1546.12e-9), pytest.approx(1e-3))
    assert light.noise_w_per_nm == pytest.approx(1e-12)


def deployed(**changes: Any) -> DeployedFibre:
    return DeployedFibre(DeployedFibreParameters(**{"length_km": 110.0, "loss_db": 23.0, **changes}), STREAM)


def test_a_fibre_in_the_ground_loses_and_delays():
    fibre = deployed()
    carrier = Light(lines=(Line(1550e-9, 1e-3, np.array([1.0, 0.0], complex)),))
    assert light_of(fibre, inputs={"in": carrier}).power_w == pytest.approx(5.0119e-6, rel=1e-4)
    assert fibre.delay_ps == pytest.approx(538.64e6, rel=1e-4)
    assert fibre.drift_step_ps is None


def test_the_loss_of_a_fibre_in_the_ground_wanders_and_a_patch_may_be_open():
    """Spread of 1000 independent instants: standard error 2.2 %, four of them."""
    wandering = {
        "loss_wander_db": 0.3,
        "wander_shortest_s": 10.0,
        "wander_longest_s": 1000.0,
        "drift_step_s": 10.0,
    }
    fibre = deployed(**wandering, outages_s=((2000.0, 3000.0),))
    carrier = Light(lines=(Line(1550e-9, 1.0, np.array([1.0, 0.0], complex)),))
    powers_w = np.array(
        [light_of(fibre, inputs={"in": carrier}, step=1000 * step).power_w for step in range(1, 1001)]
    )
    losses_db = -10.0 * np.log10(powers_w)
    assert losses_db.std() == pytest.approx(0.3, rel=0.09)
    assert losses_db.mean() == pytest.approx(23.0, abs=4 * 0.3 / 1000**0.5)
    assert fibre.drift_step_ps == 10 * 10**12
    held = Settings({}, {}, 250)
    assert fibre.propagate({"in": carrier}, held, ("out",)) == {}


@pytest.mark.parametrize(("turns", "same"), [(True, False), (False, True)])
def test_a_fibre_in_the_ground_turns_polarization_unless_told_otherwise(turns, same):
    carrier = Light(lines=(Line(1550e-9, 1.0, np.array([1.0, 0.0], complex)),))
    (line,) = light_of(deployed(turns_polarization=turns), inputs={"in": carrier}).lines
    assert line.jones is not None
    assert bool(abs(line.jones[0]) > 1.0 - 1e-12) is same


def test_the_drift_never_turns_faster_than_its_bound_and_walks_at_random_below_it():
    """Steps with standard deviation 0.05 rad a component, cut to 0.06 rad: two in three are cut."""
    steps = [PolarizationDrift(STREAM, 0.05, 0.06).rotation(step) for step in range(3)]
    walk = PolarizationDrift(STREAM, 0.05, 0.06)
    turns = []
    for step in range(1500):
        cosine = abs(float(np.dot(walk.rotation(step), walk.rotation(step + 1))))
        turns.append(2.0 * math.acos(min(1.0, cosine)))
    assert max(turns) <= 0.06 + 1e-6
    cut = stats.chi(3).sf(0.06 / 0.05)
    assert (
        abs(np.mean(np.array(turns) > 0.06 - 1e-6) - cut) < stats.norm.isf(FALSE_ALARM / 2) * 0.5 / 1500**0.5
    )
    assert np.array_equal(walk.rotation(2), steps[2])


def test_stray_light_fluctuates_slowly_about_its_mean():
    fibre = deployed(stray_photons_hz_per_nm=500.0, stray_spread=0.3, stray_time_s=1800.0, drift_step_s=10.0)
    knots = np.array([fibre.stray_hz_per_nm(180 * knot) for knot in range(1000)])
    # a gamma distribution of shape 11.1: standard error of the mean 0.9 %, of the spread 2.6 %; four of them
    assert knots.mean() == pytest.approx(500.0, rel=0.04)
    assert knots.std() == pytest.approx(150.0, rel=0.11)
    between = [fibre.stray_hz_per_nm(step) for step in (0, 45, 90, 135, 180)]
    assert np.allclose(np.diff(between), (between[-1] - between[0]) / 4)
    assert [fibre.stray_hz_per_nm(180 * knot) for knot in (999, 3, 500)] == [knots[999], knots[3], knots[500]]
    dark = light_of(fibre, step=7)
    assert dark.noise_w_per_nm / photon_energy_j(1550e-9) == pytest.approx(fibre.stray_hz_per_nm(7))


def nanowires(**changes: Any) -> Snspd:
    own = {"efficiency": (0.9, 0.8), "dark_rate_hz": (30.0, 1.0), "recovery_ns": 50.0, "jitter_ps": 40.0}
    return Snspd(SnspdParameters(**{**own, **changes}), STREAM)


def process_of(detectors: Snspd, port: str = "1", step: int = 0, light: Light | None = None, **settings: Any):
    held = {"bias_ua": (20.0, 20.0), "trigger_mv": (100.0, 100.0), "enabled": True, **settings}
    found = detectors.propagate(
        {port: light or Light()}, Settings(held, dict.fromkeys(held, 0), step), (port,)
    )
    return found.get(port)


def test_each_nanowire_has_its_own_efficiency_and_darks():
    photon_w = photon_energy_j(1550e-9)
    light = Light(noise_w_per_nm=1e4 * photon_w, noise_band_nm=1.0)
    for port, efficiency, dark_hz in (("1", 0.9, 30.0), ("2", 0.8, 1.0)):
        process = process_of(nanowires(), port, light=light)
        assert isinstance(process, ClickProcess)
        assert process.noise_hz == pytest.approx(efficiency * 1e4)
        assert process.dark_hz == pytest.approx(dark_hz)
        assert process.dead_ps == 50_000


@pytest.mark.parametrize(
    "off", [{"enabled": False}, {"bias_ua": (0.0, 0.0)}, {"bias_ua": (24.0, 24.0)}, {"trigger_mv": (0.0, 0.0)},
            {"trigger_mv": (300.0, 300.0)}],
)  # fmt: skip
def test_no_pulses_without_bias_beyond_latching_or_off_the_trigger(off):
    assert process_of(nanowires(), **off) is None


def test_bias_raises_efficiency_to_a_plateau_and_darks_without_end():
    bench = nanowires(half_bias_ua=12.0, bias_width_ua=3.0, dark_decade_ua=2.0)
    found = [process_of(bench, bias_ua=(bias, bias)) for bias in (12.0, 18.0, 22.0)]
    assert all(isinstance(process, ClickProcess) for process in found)
    assert [process.dark_hz for process in found if process] == pytest.approx([3e-3, 3.0, 300.0])
    light = Light(noise_w_per_nm=1e4 * photon_energy_j(1550e-9), noise_band_nm=1.0)
    half, full = (process_of(bench, light=light, bias_ua=(bias, bias)) for bias in (12.0, 22.0))
    assert half is not None
    assert full is not None
    assert half.noise_hz / full.noise_hz == pytest.approx(0.5, rel=1e-3)


def test_the_cryostat_condenses_when_its_cycle_says_so():
    bench = nanowires(hold_h=24.0, condensation_h=1.0, first_condensation_h=10.0)
    cold = [process_of(bench, step=60 * hour + 30) is not None for hour in range(60)]
    assert [hour for hour in range(60) if not cold[hour]] == [10, 35]
    assert process_of(bench, step=600) is None
    assert process_of(bench, step=599) is not None


def test_detectors_without_a_dark_rate_each_are_refused():
    with pytest.raises(ValueError, match="1 rates, but 2 detectors"):
        nanowires(dark_rate_hz=(30.0,))


def test_each_basis_of_the_decoder_errs_by_its_own_share():
    decoder = ThreeStateDecoder(ThreeStateDecoderParameters(1.0, 0.01, 0.003, z_share=0.6), STREAM)
    for phase_rad, right, wrong, error, share in (
        (0.0, "z0", "z1", 0.01, 0.6), (math.pi, "z1", "z0", 0.01, 0.6), (math.pi / 2, "x0", "x1", 0.003, 0.4),
    ):  # fmt: skip
        carrier = Light(lines=(Line(1550e-9, 1.0, phase_state(phase_rad)),))
        powers = {p: light_of(decoder, p, {"in": carrier}).power_w for p in decoder.outputs}
        assert powers[wrong] / (powers[right] + powers[wrong]) == pytest.approx(error)
        assert powers[right] + powers[wrong] == pytest.approx(share * 10**-0.1)
        assert sum(powers.values()) == pytest.approx(10**-0.1)


def test_a_switch_turns_polarization_at_random_at_each_change():
    """A Haar-random turn keeps a share of any state that is uniform in [0, 1]; 400 changes, Kolmogorov and Smirnov."""
    switch = OpticalSwitch(OpticalSwitchParameters(2, 2, 1.0, turns_polarization=True), STREAM)
    carrier = Light(lines=(Line(1550e-9, 1.0, phase_state(0.0)),))
    kept = []
    for since_ps in range(400):
        settings = Settings({"connections": frozenset({(1, 3)})}, {"connections": since_ps})
        light = switch.propagate({"1": carrier}, settings, ("3",))["3"]
        assert isinstance(light, Light)
        assert light.power_w == pytest.approx(10**-0.1)
        (line,) = light.lines
        assert line.jones is not None
        kept.append(abs(np.vdot(phase_state(0.0), line.jones)) ** 2)
    assert stats.kstest(kept, "uniform").pvalue > FALSE_ALARM


def test_each_path_through_a_switch_has_a_turn_of_its_own_that_holds_until_the_next_change():
    def turned(switch: OpticalSwitch, ingress: int, egress: int, since_ps: int) -> list[complex]:
        carrier = Light(lines=(Line(1550e-9, 1.0, phase_state(0.0)),))
        settings = Settings({"connections": frozenset({(ingress, egress)})}, {"connections": since_ps})
        light = switch.propagate({str(ingress): carrier}, settings, (str(egress),))[str(egress)]
        assert isinstance(light, Light)
        assert light.lines[0].jones is not None
        return list(light.lines[0].jones)

    switch, other = (
        OpticalSwitch(OpticalSwitchParameters(2, 2, 1.0, turns_polarization=True), STREAM) for _ in range(2)
    )
    asked = [(1, 3, 0), (1, 3, 0), (2, 4, 0), (1, 3, 7), (2, 3, 7), (1, 3, 0)]
    found = [turned(switch, *when) for when in asked]
    assert found[0] == found[1] == found[5]
    assert len({tuple(turn) for turn in found}) == 4
    assert found[::-1] == [turned(other, *when) for when in asked[::-1]]


CORES = {
    "length_km": 33.0, "quantum_attenuation_per_km": 0.04, "classical_attenuation_per_km": 0.04,
    "fan_loss_db": (0.0,) * 7, "group_index": 1.468, "crosstalk_per_km": 1e-3, "raman_efficiency_per_nm_km": 0.0,
}  # fmt: skip


def test_cores_of_unequal_loss_and_coupling_follow_the_matrix_exponential():
    """dP/dz = (K - diag a) P with strong coupling, so that light goes over more than once."""
    excess, factor = (0.0, 0.05, 0.1, 0.0, 0.2, 0.0, 0.03), (0.2, 1.0, 1.5, 1.0, 1.0, 0.5, 1.0)
    fibre = MulticoreFibre(
        MulticoreFibreParameters(**CORES, core_excess_db_per_km=excess, core_coupling=factor), STREAM
    )
    ring = [2, 3, 4, 5, 6, 7]
    coupled = np.zeros((7, 7))
    for core in ring:
        coupled[0, core - 1] = coupled[core - 1, 0] = 1e-3 * factor[0] * factor[core - 1]
        after = ring[(ring.index(core) + 1) % 6]
        coupled[core - 1, after - 1] = coupled[after - 1, core - 1] = (
            1e-3 * factor[core - 1] * factor[after - 1]
        )
    attenuation = 0.04 + np.array(excess) * math.log(10.0) / 10.0
    through = expm((coupled - np.diag(coupled.sum(axis=0)) - np.diag(attenuation)) * 33.0)
    noise = Light(noise_w_per_nm=1.0, noise_band_nm=50.0)
    for source, target in ((1, 2), (3, 1), (2, 5), (6, 7)):
        light = light_of(fibre, f"b{target}", {f"a{source}": noise})
        assert light.noise_w_per_nm == pytest.approx(through[target - 1, source - 1], rel=1e-6)


@pytest.mark.parametrize("name", ["core_excess_db_per_km", "core_coupling"])
def test_one_number_for_each_core_is_asked_for(name):
    with pytest.raises(ValueError, match=f"{name}: one number for each of 7 cores"):
        MulticoreFibre(MulticoreFibreParameters(**CORES, **{name: (1.0, 2.0)}), STREAM)
