"""The ji_mcf twin with a known pattern sent, and tags assigned to the slots that they came from."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from sim_devices.config import load_twin
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin

TESTBED = Path(__file__).parents[2] / "configs" / "ji_mcf"
SAMPLES_PER_SLOT = 160
SLOT_PS = 10_000
CHANNELS = ("1", "2", "3", "4")
QUANTUM_PATH = frozenset({(1, 33), (2, 40)})


@dataclass(frozen=True)
class Pattern:
    """What Alice sends, shape (slots,) each: intensity mu or nu, basis Z or X, bit."""

    is_mu: NDArray[np.bool_]
    is_z: NDArray[np.bool_]
    bit: NDArray[np.int64]

    @property
    def right_channel(self) -> NDArray[np.int64]:
        """The input (1 to 4: Z0, Z1, X0, X1) that should click."""
        return np.where(self.is_z, 1, 3) + self.bit


def _link(text: str) -> Link:
    source, target = (PortAddress(*end.split(".")) for end in text.split())
    return Link(source, target)


def random_pattern(slots: int = 10_240, seed: int = 0) -> Pattern:
    generator = np.random.default_rng(seed)
    is_mu, is_z = generator.random(slots) < 0.798, generator.random(slots) < 0.898
    return Pattern(is_mu, is_z, generator.integers(0, 2, slots))


def waveforms(pattern: Pattern) -> tuple[NDArray[np.int8] | None, ...]:
    """The four channels at 1 V amplitude, 160 samples a slot."""
    intensity_v = np.where(pattern.is_mu, 0.4, -0.134)
    phase_v = -0.375 + 0.125 * 2 * (2 * pattern.bit + ~pattern.is_z)
    trigger = np.tile(np.repeat(np.array([127, -127], np.int8), SAMPLES_PER_SLOT // 2), len(pattern.bit))
    return codes(intensity_v), codes(phase_v), trigger, None


def codes(voltages_v: NDArray[np.floating]) -> NDArray[np.int8]:
    return np.repeat(np.round(voltages_v * 254).astype(np.int8), SAMPLES_PER_SLOT)


def ji_layout(**changes: dict[str, object]) -> Layout:
    """The layout of ji_mcf with some parameters of some components changed."""
    layout = load_twin(TESTBED)
    components = dict(layout.components)
    for name, parameters in changes.items():
        components[name] = ComponentSpec(components[name].type, {**components[name].parameters, **parameters})
    return replace(layout, components=components)


class JiBench:
    """A twin that sends `pattern` through core 1 at 20 dB; `align` turns the receiver's polarization right.

    `links` are more links, written as in "reference.3 awg.reference".
    """

    def __init__(
        self,
        pattern: Pattern | None = None,
        seed: int = 1,
        *,
        links: tuple[str, ...] = (),
        **changes: dict[str, object],
    ) -> None:
        self.pattern = random_pattern() if pattern is None else pattern
        layout = ji_layout(**changes)
        self.twin = Twin(replace(layout, links=layout.links + tuple(map(_link, links))), seed)
        self.twin.handle("awg").apply(
            waveforms=waveforms(self.pattern),
            sample_rate_hz=16e9,
            amplitude_v=(1.0,) * 4,
            output_on=(True,) * 4,
            running=True,
        )
        self.twin.handle("alice_voa").apply(attenuation_db=20.0, shutter_open=True)
        self.twin.handle("switch").apply(connections=QUANTUM_PATH)

    def process(self, channel: str) -> ClickProcess:
        process = self.twin.leaving(f"detectors.{channel}")
        assert isinstance(process, ClickProcess)
        return process

    def slot_hazards(self, channel: str) -> NDArray[np.float64]:
        """Expected photoelectrons of pulses at one detector, shape (slots,)."""
        process = self.process(channel)
        assert process.train is not None
        return process.pulse_hazards[process.train.slots]

    def error(self) -> float:
        """Share of the light of the right basis that goes to the wrong detector."""
        hazards = np.stack([self.slot_hazards(channel) for channel in CHANNELS])
        slots = np.arange(len(self.pattern.bit))
        right = self.pattern.right_channel - 1
        wrong = right ^ 1
        return float(
            hazards[wrong, slots].sum() / (hazards[wrong, slots].sum() + hazards[right, slots].sum())
        )

    def align(self) -> float:
        """Minimise the error by the controller's voltages; return it."""
        controller = self.twin.handle("polarization_controller")

        def error_at(voltages_v: NDArray[np.float64]) -> float:
            controller.apply(voltages_v=tuple(float(voltage_v) for voltage_v in voltages_v))
            return self.error()

        generator = np.random.default_rng(0)
        while True:
            start_v = generator.uniform(-1.0, 1.0, 4)
            found = minimize(error_at, start_v, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9})
            error = error_at(found.x)
            if error < 0.0105:
                return error

    def launch(self, launch_dbm: float) -> None:
        """Light the five data cores, `launch_dbm` each; the attenuator is trimmed until the light says so."""
        twin = self.twin
        twin.handle("classical_laser").apply(emission_on=True, power_dbm=13.9, wavelength_nm=1550.12)
        twin.handle("amplifier").apply(emission_on=True, control="ALC", output_power_dbm=23.0)
        attenuation_db = 0.0
        for _ in range(3):
            twin.handle("launch_voa").apply(shutter_open=True, attenuation_db=attenuation_db)
            attenuation_db += self.launched_dbm() - launch_dbm

    def launched_dbm(self) -> float:
        light = self.twin.arriving("fibre.b2")
        return 10.0 * float(np.log10(getattr(light, "power_w", 0.0) / 1e-3))

    def read(self, span_s: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        until_ps = self.twin.lab_time.advance_by(round(span_s * 1e12))
        return self.twin.tagger("tagger").read(until_ps)

    def slots_of(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The number of the pattern's slot that each tag belongs to; its pulse stands in the middle."""
        slots = np.floor(self._periods(times_ps, channels) + 0.5)
        return slots.astype(np.int64) % len(self.pattern.bit)

    def since_pulse_ps(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Distance of each tag from the nearest pulse, from -5000 to 5000 ps."""
        periods = self._periods(times_ps, channels)
        return (periods - np.floor(periods + 0.5)) * SLOT_PS

    def _periods(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.float64]:
        process = self.process("1")
        assert process.train is not None
        delays_ps = (
            np.array([21250.0, 21430.0, 20980.0, 21120.0]) + process.latency_ps + process.train.delay_ps
        )
        since_ps = times_ps - float(process.train.origin_ps) - delays_ps[channels - 1]
        return since_ps / SLOT_PS
