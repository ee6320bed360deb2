"""Where clicks come from, by the truth, against the closed forms of what was lit.

Quantum core 1 between core 2 with a carrier and core 3 with a diode, and stray light from the fibre before it; all the
light runs one way. Only first order in the coupling h is kept (h L is 2.5e-5).
"""

import math

import numpy as np
import pytest
from scipy import stats

from sim_devices.twin import sampling
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.light import NoiseShares, mixed_shares
from sim_devices.twin.twin import Twin
from tests.physics.closed_form import LIGHT_M_PER_S, PLANCK_J_S, forward_icsrs

LENGTH_KM, BETA, H, ALPHA_Q, ALPHA_C = 25.0, 6.9e-8, 1e-6, 0.046, 0.0471
FILTER_NM, ISOLATION_DB, EFFICIENCY, DEAD_S, DARK_HZ = 0.8, 60.0, 0.2, 25e-9, 5e3
CARRIER_W, CARRIER_NM = 1e-3, 1530.0
DIODE_W_PER_NM = 1e-3 * 10**-2.46 / 50.0 / 45.0
STRAY_HZ_PER_NM = 3e5
SPAN_S = 4.0
FALSE_ALARM = 1e-4
PHOTON_J = PLANCK_J_S * LIGHT_M_PER_S / 1550e-9

COMPONENTS = {
    "laser": ("cw_laser", {}),
    "led": ("led", {"maximum_power_dbm": -24.6, "maximum_current_ma": 45.0, "bandwidth_nm": 50.0}),
    "before": ("deployed_fibre", {"length_km": 1.0, "loss_db": 0.0, "stray_photons_hz_per_nm": STRAY_HZ_PER_NM}),
    "fibre": ("multicore_fibre", {
        "length_km": LENGTH_KM, "quantum_attenuation_per_km": ALPHA_Q, "classical_attenuation_per_km": ALPHA_C,
        "fan_loss_db": (0.0,) * 3, "group_index": 1.468, "crosstalk_per_km": H, "raman_efficiency_per_nm_km": BETA,
    }),
    "filter": ("optical_filter", {"centre_nm": 1550.0, "bandwidth_nm": FILTER_NM, "isolation_db": ISOLATION_DB}),
    "detectors": ("single_photon_detectors", {
        "number": 1, "efficiency": EFFICIENCY, "dark_rate_hz": DARK_HZ, "dead_time_ns": DEAD_S * 1e9,
        "afterpulse_probability": 0.0, "afterpulse_time_us": 1.0, "jitter_ps": 0.0,
    }),
    "tagger": ("time_tagger", {"channel_delays_ps": (1000.0,)}),
}  # fmt: skip
LINKS = (
    ("laser.out", "fibre.a2"), ("led.out", "fibre.a3"), ("before.out", "fibre.a1"), ("fibre.b1", "filter.in"),
    ("filter.out", "detectors.1"), ("detectors.1", "tagger.1"),
)  # fmt: skip


def address(text: str) -> PortAddress:
    component, port = text.split(".")
    return PortAddress(component, port)


def lit_bench(seed: int) -> Twin:
    layout = Layout(
        seed,
        {name: ComponentSpec(kind, parameters) for name, (kind, parameters) in COMPONENTS.items()},
        tuple(Link(address(source), address(target)) for source, target in LINKS),
    )
    twin = Twin(layout)
    twin.handle("laser").apply(emission_on=True, power_dbm=0.0, wavelength_nm=CARRIER_NM)
    twin.handle("led").apply(emission_on=True, current_a=1e-3)
    return twin


def expected_hz() -> dict[int, float]:
    """Photoelectrons a second by origin."""
    through = math.exp(-ALPHA_Q * LENGTH_KM)
    raman_w = CARRIER_W * forward_icsrs(LENGTH_KM, BETA, H, ALPHA_Q, ALPHA_C) * FILTER_NM
    diode_w = DIODE_W_PER_NM * H * LENGTH_KM * through * FILTER_NM
    carrier_w = CARRIER_W * H * LENGTH_KM * math.exp(-ALPHA_C * LENGTH_KM) * 10 ** (-ISOLATION_DB / 10)
    carrier_photons = carrier_w * CARRIER_NM * 1e-9 / (PLANCK_J_S * LIGHT_M_PER_S)
    return {
        sampling.RAMAN: EFFICIENCY * raman_w / PHOTON_J,
        sampling.CROSSTALK: EFFICIENCY * (diode_w / PHOTON_J + carrier_photons),
        sampling.STRAY: EFFICIENCY * STRAY_HZ_PER_NM * through * FILTER_NM,
        sampling.DARK_COUNT: DARK_HZ,
    }


def test_every_origin_has_the_share_of_its_closed_form():
    twin = lit_bench(seed=3)
    _, _, origins = twin.tagger("tagger").read_with_origin(twin.lab_time.advance_by(round(SPAN_S * 1e12)))
    expected = expected_hz()
    live = 1.0 / (1.0 + sum(expected.values()) * DEAD_S)
    found = np.bincount(origins, minlength=6)
    assert found[sampling.SIGNAL] == found[sampling.AFTERPULSE] == 0
    for origin, rate_hz in expected.items():
        counts = rate_hz * live * SPAN_S
        assert counts > 10_000
        # the coupled equations keep higher orders than the closed forms: 0.1 %
        allowed = stats.norm.isf(FALSE_ALARM / 8) * counts**0.5 + 1e-3 * counts
        assert abs(found[origin] - counts) < allowed, origin


@pytest.mark.parametrize(
    ("off", "gone"),
    [("laser", sampling.RAMAN), ("led", sampling.CROSSTALK)],
)
def test_a_source_that_is_off_takes_its_clicks_along_and_leaves_the_rest(off: str, gone: int):
    twin = lit_bench(seed=4)
    twin.handle(off).apply(emission_on=False)
    _, _, origins = twin.tagger("tagger").read_with_origin(twin.lab_time.advance_by(10**12))
    found, expected = np.bincount(origins, minlength=6), expected_hz()
    if gone == sampling.RAMAN:
        assert found[gone] == 0
    # of the crosstalk the carrier stays: 1 uW over 60 dB and h L, two thirds of what there was
    assert found[sampling.CROSSTALK] < 0.8 * expected[sampling.CROSSTALK]
    stray = expected[sampling.STRAY]
    assert abs(found[sampling.STRAY] - stray) < stats.norm.isf(FALSE_ALARM / 2) * stray**0.5 + 5e-3 * stray


def test_mixing_weighs_shares_by_power():
    mixed = mixed_shares(
        ((3.0, NoiseShares(raman=1.0)), (1.0, NoiseShares(0.2, 0.6)), (0.0, NoiseShares(0.0, 1.0)))
    )
    assert (mixed.raman, mixed.crosstalk) == (pytest.approx(0.8), pytest.approx(0.15))
    assert mixed_shares(()) == NoiseShares()
