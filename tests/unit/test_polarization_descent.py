"""The descent on an ideal receiver with shot noise: no instruments, only messages and their answers."""

import math

import numpy as np
import pytest

from plans.polarization import Descent, align_polarization
from qdci_lab.errors import AcquisitionError

DESCENT = Descent(volts_per_pi=1.4)


def retarder(axis_rad: float, angle_rad: float) -> np.ndarray:
    """Rotation of the Stokes vector by a linear retarder."""
    n = np.array([math.cos(2 * axis_rad), math.sin(2 * axis_rad), 0.0])
    cross = np.array([[0, -n[2], n[1]], [n[2], 0, -n[0]], [-n[1], n[0], 0]])
    return np.eye(3) + math.sin(angle_rad) * cross + (1 - math.cos(angle_rad)) * cross @ cross


class Named:
    def __init__(self, name, **attributes):
        self.name = name
        self.label = name
        self.parent = None
        self.__dict__.update(attributes)


class Bench:
    """A fibre with an unknown rotation behind four squeezers, and Poisson counts of both bases."""

    def __init__(self, seed: int, floor: float = 0.012, photons: float = 20_000) -> None:
        self.chance = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(self.chance.normal(size=(3, 3)))
        self.fibre = rotation * np.sign(np.linalg.det(rotation))
        self.volts = np.zeros(4)
        self.floor, self.photons = floor, photons

    def error_rates(self) -> tuple[float, float]:
        total = self.fibre
        for volts, axis in zip(self.volts, (0, math.pi / 4, 0, math.pi / 4), strict=True):
            total = retarder(axis, volts / 1.4 * math.pi) @ total
        ideal = [(1 - total[axis, axis]) / 2 for axis in (1, 2)]
        return tuple(self.floor + (1 - 2 * self.floor) * rate for rate in ideal)

    def measured(self) -> dict[str, dict[str, float]]:
        z, x = self.error_rates()
        return {
            "link_qber_z": {"value": self.chance.binomial(int(self.photons), z) / self.photons},
            "link_qber_x": {"value": self.chance.binomial(int(self.photons / 9), x) / (self.photons / 9)},
        }


def run(bench: Bench, descent: Descent) -> float:
    """Answer the plan's messages as a RunEngine would."""
    voltages = Named("voltages", limits=(-5.0, 5.0))
    controller = Named("controller", voltages=voltages)
    rates = {key: Named(f"link_{key}") for key in ("qber_z", "qber_x", "n_z", "n_x")}
    link = Named(
        "link", polarization_controller=controller, **rates,
        detections=Named("detections"), max_duration=Named("max_duration"), reuse_lock=Named("reuse_lock"),
    )  # fmt: skip
    plan = align_polarization(link, descent)
    answer = None
    while True:
        try:
            message = plan.send(answer)
        except StopIteration as end:
            return end.value
        answer = None
        if message.command == "set" and message.obj is voltages:
            bench.volts = np.asarray(message.args[0])
        elif message.command == "read":
            answer = {key: value for key, value in bench.measured().items() if key == message.obj.name}


@pytest.mark.parametrize("seed", range(8))
def test_any_fibre_is_aligned_to_within_half_a_thousandth(seed):
    bench = Bench(seed)
    run(bench, DESCENT)
    assert all(rate - bench.floor < 5e-4 for rate in bench.error_rates())


def test_without_light_it_says_so_instead_of_going_on():
    bench = Bench(1, floor=0.5)
    with pytest.raises(AcquisitionError, match="not aligned"):
        run(bench, DESCENT)


def test_voltages_stay_within_the_controllers_limits_and_mean_the_same_retardation():
    angles = np.linspace(-60.0, 60.0, 97)
    volts = np.array([DESCENT.volts(np.array([angle]), (-5.0, 5.0))[0] for angle in angles])
    assert np.abs(volts).max() <= 5.0
    turns = (volts / 1.4 * math.pi - angles) / (2 * math.pi)
    assert np.abs(turns - np.round(turns)).max() < 1e-3
