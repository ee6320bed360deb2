"""Error budgets by hand, and their refusals; the twin's truth is asked in tests/physics."""

import pytest

from qdci_lab.analysis.detector_corrections import Estimate
from qdci_lab.analysis.error_budget import Background, Detections, estimate_error_budget


def test_contributions_by_hand():
    found = estimate_error_budget(
        Detections(sifted=1e6, errors=20_000, duration_s=2.0, sent_share=0.9),
        dark=Background(clicks=10_000, duration_s=10.0),
        lit={"raman": Background(clicks=50_000, duration_s=10.0)},
        afterpulse_probability=Estimate(0.004, 0.001),
    )
    assert found.qber.value == pytest.approx(0.02)
    assert {cause: part.value for cause, part in found.parts.items()} == pytest.approx(
        {
            "dark counts": 9e-4 * 0.996,  # without their own afterpulses
            "raman": 3.6e-3 * 0.996,
            "afterpulses": 2e-3,
            "misalignment": 0.02 - 4.5e-3 * 0.996 - 2e-3,
        }
    )
    assert found.parts["dark counts"].standard_error == pytest.approx(9e-6 * 0.996)
    assert found.parts["raman"].standard_error == pytest.approx(9e-7 * 0.996 * 600**0.5)
    assert found.misalignment.standard_error == pytest.approx(
        (0.02 * 0.98 / 1e6 + 0.996**2 * (9e-6**2 + 9e-7**2 * 600) + 5e-4**2) ** 0.5
    )


def test_what_a_silent_detector_does_not_see_is_no_error():
    def found(live_share):
        return estimate_error_budget(
            Detections(sifted=1e6, errors=20_000, duration_s=2.0, sent_share=0.9, live_share=live_share),
            dark=Background(clicks=10_000, duration_s=10.0),
            afterpulse_probability=Estimate(0.004, 0.001),
        )

    assert found(0.8).parts["dark counts"].value == pytest.approx(0.8 * 9e-4 * 0.996)
    assert found(0.8).misalignment.value == pytest.approx(
        found(1.0).misalignment.value + 0.2 * (9e-4 * 0.996 + 2e-3)
    )


def test_an_unseen_background_still_has_an_error():
    assert Background(0, 4.0).rate_hz == Estimate(0.0, 0.25)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sifted": 0, "errors": 0},
        {"errors": 11},
        {"duration_s": 0.0},
        {"sent_share": 0.0},
        {"live_share": 1.1},
    ],
)
def test_counts_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"error budget needs some|shares of the basis"):
        Detections(**{"sifted": 10, "errors": 1, "duration_s": 1.0, **wrong})
