"""Paddles against wave plates: what a quarter and a half of a wave do, by geometry on the Poincare sphere."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from sim_devices.firmware.thorlabs_mpc320 import ThorlabsMpc320
from sim_devices.twin.components.paddles import PaddleController, PaddleControllerParameters
from sim_devices.twin.layout import ComponentSpec, Layout, Link
from sim_devices.twin.light import Light
from sim_devices.twin.streams import KeyedStream
from sim_devices.twin.twin import Twin
from tests.physics.test_gated_detection import address

HORIZONTAL = np.array([1.0, 0.0], np.complex128)


def controller(**changes: Any) -> PaddleController:
    return PaddleController(PaddleControllerParameters(**changes), KeyedStream(1, ("paddles",)))


def stokes(jones: NDArray[np.complex128]) -> tuple[float, float, float]:
    h, v = jones
    return (
        float(abs(h) ** 2 - abs(v) ** 2),
        float(2.0 * (h.conjugate() * v).real),
        float(2.0 * (h.conjugate() * v).imag),
    )


def test_a_quarter_wave_at_45_degrees_makes_linear_light_circular():
    out = stokes(controller(retardance_waves=(0.25, 0.0, 0.0)).matrix((45.0, 0.0, 0.0)) @ HORIZONTAL)
    assert abs(out[2]) == pytest.approx(1.0)


@pytest.mark.parametrize("angle_deg", [10.0, 22.5, 120.0])
def test_a_half_wave_turns_linear_light_by_twice_its_angle(angle_deg: float):
    out = stokes(controller(retardance_waves=(0.0, 0.5, 0.0)).matrix((0.0, angle_deg, 0.0)) @ HORIZONTAL)
    azimuth_rad = 2.0 * math.radians(2.0 * angle_deg)
    assert out == pytest.approx((math.cos(azimuth_rad), math.sin(azimuth_rad), 0.0), abs=1e-12)


def test_an_axis_that_is_off_is_an_angle_that_is_off():
    off, right = controller(axis_errors_deg=(3.0, -2.0, 1.0)), controller()
    assert np.allclose(off.matrix((10.0, 20.0, 30.0)), right.matrix((13.0, 18.0, 31.0)))


@pytest.mark.parametrize("waves", [(0.25, 0.5, 0.25), (0.22, 0.45, 0.27)])
def test_three_paddles_reach_any_state_even_if_their_plates_are_off(waves: tuple[float, float, float]):
    paddles, generator = controller(retardance_waves=waves), np.random.default_rng(4)
    for _ in range(5):
        given, wanted = (generator.standard_normal(2) + 1j * generator.standard_normal(2) for _ in range(2))
        given, wanted = given / np.linalg.norm(given), wanted / np.linalg.norm(wanted)

        def missed(angles_deg: NDArray[np.float64], a=given, b=wanted) -> float:
            return 1.0 - abs(np.vdot(b, paddles.matrix(angles_deg) @ a)) ** 2

        starts = generator.uniform(0.0, 170.0, (6, 3))
        best = min(minimize(missed, start, method="Nelder-Mead").fun for start in starts)
        assert best < 1e-4


def test_a_paddle_stands_where_it_was_pushed_to():
    paddles = controller(play_deg=1.5)
    reached = [paddles.checked("angles_deg", (deg, 0.0, 0.0)).reached[0] for deg in (50.0, 49.0, 40.0, 50.0)]
    assert reached == pytest.approx([48.5, 48.5, 41.5, 48.5])


def test_the_instrument_turns_the_light():
    """MPC320: paddle 2 to 45 degrees (363 counts of 170/1370 degrees) turns H by 90 degrees."""
    parts = {
        "laser": ComponentSpec("cw_laser"),
        "paddles": ComponentSpec("paddle_controller", {"retardance_waves": (0.0, 0.5, 0.0)}),
    }
    layout = Layout(1, parts, (Link(address("laser.out"), address("paddles.in")),))
    twin = Twin(layout)
    twin.handle("laser").apply(emission_on=True)
    session = ThorlabsMpc320({"paddles": twin.handle("paddles")}, serial_number="38123456").session()
    counts = 363
    session.feed(bytes.fromhex("43040200 50 01".replace(" ", "")))  # home paddle 2, so that it may move
    twin.lab_time.advance_by(5 * 10**12)
    session.feed(bytes.fromhex("53040600d001") + (2).to_bytes(2, "little") + counts.to_bytes(4, "little"))
    twin.lab_time.advance_by(5 * 10**12)
    light = twin.leaving("paddles.out")
    assert isinstance(light, Light)
    assert light.lines[0].jones is not None
    angle_rad = 2.0 * math.radians(2.0 * counts * 170 / 1370)
    assert stokes(light.lines[0].jones) == pytest.approx(
        (math.cos(angle_rad), math.sin(angle_rad), 0.0), abs=1e-9
    )
