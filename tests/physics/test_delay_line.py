"""A delay line moved through its instrument's commands shifts the tags by its path over the speed of light."""

import math

import numpy as np
import pytest

from sim_devices.firmware.oz_odl650 import OzOdl650
from sim_devices.twin.layout import ComponentSpec, Layout, Link
from sim_devices.twin.twin import Twin
from tests.physics.test_gated_detection import address, square

LIGHT_MM_PER_PS = 0.299792458
STEPS_PER_MM = 32768 / 5.08
LINKS = ("awg.1 laser.trigger", "laser.out line.in", "line.out detectors.1", "detectors.1 tagger.1")
PARTS = {
    "awg": ("waveform_source", {}),
    "laser": ("pulsed_laser", {"wavelength_nm": 1550.0, "mean_photons": 1.0, "pulse_fwhm_ps": 20.0}),
    "detectors": ("single_photon_detectors", {
        "number": 1, "efficiency": 0.5, "dark_rate_hz": 0.0, "dead_time_ns": 100.0, "afterpulse_probability": 0.0,
        "afterpulse_time_us": 1.0, "jitter_ps": 20.0,
    }),
    "tagger": ("time_tagger", {"channel_delays_ps": (1000.0,)}),
}  # fmt: skip


class Moved:
    """A pulsed laser seen through a delay line that an ODL-650-MC moves."""

    def __init__(self, **line: float) -> None:
        parts = {**PARTS, "line": ("delay_line", dict(line))}
        links = tuple(Link(*map(address, text.split())) for text in LINKS)
        self.twin = Twin(Layout(5, {name: ComponentSpec(*part) for name, part in parts.items()}, links))
        self.twin.handle("awg").apply(
            waveforms=(square(), None, None, None),
            output_on=(True,) * 4,
            amplitude_v=(1.0,) * 4,
            running=True,
        )
        self._session = OzOdl650({"line": self.twin.handle("line")}, serial_number="AB12").session()
        self.tell("FH")

    def tell(self, command: str) -> bytes:
        return self._session.feed(command.encode() + b"\r\n")

    def arrival_ps(self, span_s: float = 0.005) -> tuple[float, float]:
        """Mean arrival of tags in the period of 10 ns, and its standard error; about 40 000 tags."""
        reader = self.twin.tagger("tagger")
        reader.start(self.twin.lab_time.now_ps())
        times_ps, _ = reader.read(self.twin.lab_time.advance_by(round(span_s * 1e12)))
        phases_ps = (times_ps % 10_000).astype(float)
        return float(phases_ps.mean()), float(phases_ps.std() / len(phases_ps) ** 0.5)


@pytest.mark.parametrize("steps", [32_768, 655_360, 1_290_000])
def test_a_path_of_some_millimetres_is_seen_in_the_tags(steps: int):
    bench = Moved()
    home_ps, error_ps = bench.arrival_ps()
    assert bench.tell(f"S{steps}").endswith(b"Done\r\n")
    moved_ps, other_ps = bench.arrival_ps()
    # the centre of a pulse is kept in whole picoseconds, at home without a rest
    expected_ps = math.floor(steps / STEPS_PER_MM / LIGHT_MM_PER_PS)
    # five standard errors of the difference of two means (false alarm 6e-7)
    assert abs(moved_ps - home_ps - expected_ps) < 5.0 * float(np.hypot(error_ps, other_ps))


def test_a_line_that_is_miscalibrated_delays_by_its_own_scale():
    true, wrong = Moved(), Moved(scale=1.03, offset_ps=4.0)
    for bench in (true, wrong):
        bench.tell("S1000000")
    (right_ps, error_ps), (found_ps, other_ps) = true.arrival_ps(), wrong.arrival_ps()
    path_ps = 1_000_000 / STEPS_PER_MM / LIGHT_MM_PER_PS
    expected_ps = math.floor(4.0 + 1.03 * path_ps) - math.floor(path_ps)
    assert abs(found_ps - right_ps - expected_ps) < 5.0 * float(np.hypot(error_ps, other_ps))


def test_the_light_follows_while_the_motor_runs():
    """Two turns a second, 10.16 mm of path: in ten seconds half of the range is passed."""
    bench = Moved()
    home_ps, _ = bench.arrival_ps(0.002)
    bench.tell("GF")
    bench.twin.lab_time.advance_by(10 * 10**12)
    found_ps, _ = bench.arrival_ps(0.002)
    speed_ps_per_s = 65_536 / STEPS_PER_MM / LIGHT_MM_PER_PS
    # a way is followed in sixteen steps: half of one of them, 42 ps of the whole 667 ps, may be missing
    assert found_ps - home_ps == pytest.approx(10.0 * speed_ps_per_s, abs=0.5 * 667.1 / 16 + 1.0)
