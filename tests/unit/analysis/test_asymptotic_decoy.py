"""Vacuum and weak decoy against the published GYS figures, true single photons, limits and monotonicity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdci_lab.analysis.link_model import DetectionLink, TwoBasisLink
from qdci_lab.analysis.repeaterless import plob_bound, single_repeater_bound
from qdci_lab.analysis.vacuum_weak import (
    asymptotic_optimal_intensity,
    infinite_decoy_rate,
    link_vacuum_weak_rate,
    vacuum_weak_rate,
)


def gys(length_km):
    """Gobby, Yuan, Shields 2004 as in table I of Ma et al.; the background is that of all detectors."""
    return DetectionLink(0.045 * 10 ** (-0.021 * np.asarray(length_km)), 1.7e-6, 0.033, detectors=1)


def reach_km(rate):
    lengths = np.arange(130.0, 150.0, 0.01)
    return lengths[rate(gys(lengths)).rate > 0.0].max()


def test_published_rates_of_the_gys_link():
    rate = infinite_decoy_rate(gys([0.0, 100.0]), 0.48, f_ec=1.22).rate
    assert [f"{r:.2e}" for r in rate] == ["2.55e-03", "1.72e-05"]


def test_published_reach_of_the_gys_link():
    """142.05 km and 140.55 km in print; the step of the printed search is not known, so 0.1 km are allowed."""
    assert reach_km(lambda link: infinite_decoy_rate(link, 0.48, f_ec=1.22)) == pytest.approx(142.05, abs=0.1)
    weak = reach_km(lambda link: link_vacuum_weak_rate(link, 0.48, 0.05, f_ec=1.22))
    assert weak == pytest.approx(140.55, abs=0.1)


def test_published_optimal_intensities():
    assert round(asymptotic_optimal_intensity(0.033, 1.22), 2) == 0.48
    assert round(asymptotic_optimal_intensity(0.033, 1.0), 2) == 0.54
    assert asymptotic_optimal_intensity(0.0) == 1.0
    with pytest.raises(ValueError, match="no key"):
        asymptotic_optimal_intensity(0.2)


def test_the_optimal_intensity_is_the_best_one_on_a_long_quiet_link():
    mu = np.linspace(0.3, 0.7, 4001)
    rate = infinite_decoy_rate(DetectionLink(1e-5, 0.0, 0.033), mu, f_ec=1.22).rate
    assert mu[rate.argmax()] == pytest.approx(asymptotic_optimal_intensity(0.033, 1.22), abs=1e-3)


links = st.builds(
    DetectionLink,
    transmission=st.floats(1e-4, 1.0),
    dark_probability=st.floats(0.0, 1e-5),
    misalignment=st.floats(0.0, 0.08),
)


@settings(max_examples=100, deadline=None)
@given(link=links, mu=st.floats(0.2, 0.9), share=st.floats(0.05, 0.7))
def test_two_intensities_never_claim_more_than_the_true_single_photons(link, mu, share):
    weak, true = link_vacuum_weak_rate(link, mu, share * mu), infinite_decoy_rate(link, mu)
    assert weak.yield_1 <= true.yield_1 * (1 + 1e-9)
    assert weak.error_1 >= true.error_1 * (1 - 1e-6) - 1e-9
    assert weak.rate_unclipped <= true.rate_unclipped + 1e-12


@settings(max_examples=100, deadline=None)
@given(
    link=links, loss=st.floats(0.1, 0.99), more_dark=st.floats(1e-8, 1e-5), more_error=st.floats(1e-4, 0.02)
)
def test_loss_and_noise_never_help(link, loss, more_dark, more_error):
    """For transmissions below a tenth: brighter links may see saturation of the detectors lift with loss."""
    base = DetectionLink(0.1 * float(link.transmission), link.dark_probability, link.misalignment)
    worse = [
        DetectionLink(base.transmission * loss, base.dark_probability, base.misalignment),
        DetectionLink(base.transmission, base.dark_probability + more_dark, base.misalignment),
        DetectionLink(base.transmission, base.dark_probability, base.misalignment + more_error),
    ]
    best = infinite_decoy_rate(base, 0.5).rate
    assert all(infinite_decoy_rate(link, 0.5).rate <= best for link in worse)
    best = link_vacuum_weak_rate(base, 0.5, 0.05).rate
    assert all(link_vacuum_weak_rate(link, 0.5, 0.05).rate <= best + 1e-12 for link in worse)


def test_limits_of_light_noise_and_loss():
    assert infinite_decoy_rate(DetectionLink(0.0, 1e-6), 0.5).rate == 0.0
    assert link_vacuum_weak_rate(DetectionLink(0.0), 0.5, 0.05).rate == 0.0
    clean = infinite_decoy_rate(DetectionLink(1.0), 0.5, sifting=1.0)
    assert clean.rate == pytest.approx(0.5 * np.exp(-0.5))
    assert clean.error_1 == 0.0


def test_counted_leakage_replaces_the_model():
    link = gys(50.0)
    modelled = link_vacuum_weak_rate(link, 0.48, 0.05)
    gains, wrong = ((q(0.48), q(0.05)) for q in (link.gain, link.error_gain))
    counted = vacuum_weak_rate(gains, wrong, link.gain(0.0), (0.48, 0.05), leak_ec_bits=2 * modelled.leak_ec)
    assert counted.rate_unclipped == pytest.approx(modelled.rate_unclipped - 0.5 * modelled.leak_ec)


def test_a_hundred_thousand_links_at_once():
    lengths = np.linspace(0.0, 160.0, 100_000)
    for rate in (infinite_decoy_rate(gys(lengths), 0.48), link_vacuum_weak_rate(gys(lengths), 0.48, 0.05)):
        assert rate.rate.shape == (100_000,)
    for i in (0, 4711, 99_999):
        alone = link_vacuum_weak_rate(gys(lengths[i]), 0.48, 0.05).rate
        assert link_vacuum_weak_rate(gys(lengths), 0.48, 0.05).rate[i] == pytest.approx(
            float(alone), rel=1e-12
        )


def test_clicks_of_the_link_by_hand():
    link = DetectionLink(0.1, 1e-3, 0.02, 0.04)
    seen, background = -np.expm1(-0.05), 1 - 0.999**2
    clicks = 1 - 0.999**2 * np.exp(-0.05)
    assert link.gain(0.5) == pytest.approx(clicks * 1.04)
    wrong = 0.02 * seen + 0.5 * background * (1 - seen) + 0.02 * clicks
    assert link.error_gain(0.5) == pytest.approx(wrong)
    both = TwoBasisLink(link, link, active=True).expected(100.0, 0.9, (0.7, 0.3), (0.5, 0.1))
    assert both[0].shape == (2, 2)
    assert both[0][1, 0] == pytest.approx(100 * 0.1 * 0.1 * 0.7 * float(link.gain(0.5)))
    with pytest.raises(ValueError, match="between 0 and 1"):
        DetectionLink(1.1)
    with pytest.raises(ValueError, match="afterpulses"):
        infinite_decoy_rate(link, 0.5)


@pytest.mark.parametrize(
    ("db_per_km", "at_204_km", "at_370_km"),
    [(0.165, "6.21e-04", "1.13e-06"), (0.19, "1.92e-04", "1.35e-07"), (0.2, "1.20e-04", "5.74e-08")],
)
def test_repeaterless_bound_of_fibres(db_per_km, at_204_km, at_370_km):
    bounds = plob_bound(10 ** (-db_per_km * np.array([204.0, 370.0]) / 10))
    assert [f"{bound:.2e}" for bound in bounds] == [at_204_km, at_370_km]


def test_repeaterless_limits():
    assert plob_bound([0.0, 0.5, 1.0]).tolist() == [0.0, 1.0, np.inf]
    assert plob_bound(1e-12) == pytest.approx(1e-12 / np.log(2))
    assert single_repeater_bound(0.25) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="transmission"):
        plob_bound(-0.1)


@given(st.floats(0.0, 0.999), st.floats(0.0, 0.999))
def test_a_repeater_never_lowers_the_bound_and_loss_does(eta, loss):
    assert plob_bound(eta * loss) <= plob_bound(eta) <= single_repeater_bound(eta)
