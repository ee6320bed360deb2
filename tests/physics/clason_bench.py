"""The clason_trusted_node twin with its code sent, and what its four detectors should count, in closed form.

The closed form shares with the twin only the numbers of twin.toml: losses are added up in dB, crosstalk is the integral
of two exponentials, and every slot is an independent trial (dead time is 50 ns against 20 ns slots at 10 000 counts a
second, 3e-4 of the counts).
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from drivers.key_distribution.three_state_settings import NO_CORE
from qdci_lab.analysis.code import SymbolCode
from qdci_lab.session import validated
from sim_devices.config import load_twin
from sim_devices.twin.electrical import ClickProcess
from sim_devices.twin.layout import ComponentSpec
from sim_devices.twin.twin import Twin

TESTBED = Path(__file__).parents[2] / "configs" / "clason_trusted_node"
PLANCK_TIMES_LIGHT = 6.62607015e-34 * 299_792_458.0
PERIOD_S = 20e-9
CHANNELS = ("1", "2", "3", "4")
QUIET = {
    "deployed_fibre": {"drift_rad_per_sqrt_s": 0.0, "stray_photons_hz_per_nm": 0.0, "stray_spread": 0.0},
    "ethernet_down": {"power_dbm": -200.0, "emission_w_per_nm": 0.0},
    "ethernet_up": {"power_dbm": -200.0, "emission_w_per_nm": 0.0},
}
"""Without drift, stray light and Ethernet, which the closed form leaves out."""


_ALIGNED_V: dict[tuple[int, int], NDArray[np.float64]] = {}
"""Voltages of the polarization controller by core and seed: noise and losses leave them as they are."""


def ratio(decibel: float) -> float:
    return 10.0 ** (decibel / 10.0)


@dataclass(frozen=True)
class ClosedForm:
    """Expected photoelectrons of one detector per slot, from the numbers of a twin.toml."""

    parts: Mapping[str, Mapping[str, Any]]

    @property
    def receiver_db(self) -> float:
        """The receiver, and the pass of the switch between its analysers and the detectors."""
        return self.parts["decoder"]["receiver_loss_db"] + self.parts["switch"]["insertion_loss_db"]

    def core_db_per_km(self, core: int) -> float:
        fibre = self.parts["fibre"]
        neper_db = 10.0 / math.log(10.0)
        return fibre["quantum_attenuation_per_km"] * neper_db + fibre["core_excess_db_per_km"][core - 1]

    def loss_db(self, core: int) -> float:
        """From the transmitter to the detectors together."""
        fibre, switch_db = self.parts["fibre"], self.parts["switch"]["insertion_loss_db"]
        outside = self.parts["deployed_fibre"]["loss_db"] + self.receiver_db
        if core == NO_CORE:
            return outside + switch_db
        inside = self.core_db_per_km(core) * fibre["length_km"] + 2.0 * fibre["fan_loss_db"][core - 1]
        return outside + 2.0 * switch_db + inside

    def noise_hz(self, core: int, current_ma: float) -> float:
        """The diode's photons within the filter at the decoder's outputs together."""
        led, fibre, switch_db = (self.parts[name] for name in ("led", "fibre", "switch"))
        switch_db = switch_db["insertion_loss_db"]
        power_w = 1e-3 * ratio(led["maximum_power_dbm"]) * current_ma / led["maximum_current_ma"]
        each_w = power_w * (1.0 - self.parts["tap"]["tap_share"]) / 4.0
        neighbours = [other for other in (2, 3, 4, 5) if core == 1 or abs(other - core) == 1]
        density = sum(self._crosstalk(other, core) for other in neighbours) * each_w / led["bandwidth_nm"]
        outside_db = 2.0 * switch_db + 2.0 * fibre["fan_loss_db"][0] + self.receiver_db
        in_band_w = density * self.parts["filter"]["bandwidth_nm"] * ratio(-outside_db)
        return in_band_w * 1550e-9 / PLANCK_TIMES_LIGHT

    def _crosstalk(self, source: int, target: int) -> float:
        """h times the integral of e^(-a_s z) e^(-a_t (L - z)): what couples over once."""
        fibre = self.parts["fibre"]
        h = (
            fibre["crosstalk_per_km"]
            * fibre["core_coupling"][source - 1]
            * fibre["core_coupling"][target - 1]
        )
        a, b = (self.core_db_per_km(core) * math.log(10.0) / 10.0 for core in (source, target))
        length = fibre["length_km"]
        return h * math.exp(-b * length) * -math.expm1((b - a) * length) / (a - b)

    def slot_hazards(self, code: SymbolCode, core: int, current_ma: float) -> NDArray[np.float64]:
        """Shape (4, length of the code)."""
        decoder, detectors = self.parts["decoder"], self.parts["detectors"]
        photons = np.where(code.intensity == 0, 0.8, 0.28) * ratio(-self.loss_db(core)) / 2.0
        noise_hz = self.noise_hz(core, current_ma) if core != NO_CORE and current_ma else 0.0
        rows = []
        for detector in range(4):
            basis, bit = divmod(detector, 2)
            error = decoder["z_error"] if basis == 0 else decoder["x_error"]
            right = np.where(code.bit == bit, 1.0 - error, error)
            share = np.where(code.basis == basis, right, 0.5)
            efficiency = detectors["efficiency"][detector]
            steady_hz = detectors["dark_rate_hz"][detector] + efficiency * noise_hz / 4.0
            rows.append(efficiency * photons * share + steady_hz * PERIOD_S)
        return np.array(rows)


def closed_form() -> ClosedForm:
    text = (TESTBED / "twin.toml").read_text(encoding="utf-8")
    return ClosedForm(tomllib.loads(text)["components"])


class ClasonBench:
    """A twin on a core, its diode at a current, sending the lab's own code."""

    def __init__(self, core: int = 1, current_ma: float = 0.0, *, seed: int = 1, **changes: Any) -> None:
        self._key = (core, seed)
        link = validated(TESTBED, "sim.toml").link
        assert link is not None
        transmitter, self.routing = link.options["transmitter"], link.options["routing"]
        self.code: SymbolCode = link.options["protocol"].code()
        layout = load_twin(TESTBED)
        components = dict(layout.components)
        for name, parameters in {**QUIET, **changes}.items():
            spec = components[name]
            components[name] = ComponentSpec(spec.type, {**spec.parameters, **parameters})
        self.twin = Twin(replace(layout, components=components), seed)
        self._send(transmitter)
        self.twin.handle("switch").apply(connections=frozenset(self.routing.routes(core)))
        self.twin.handle("led").apply(current_a=current_ma / 1e3, emission_on=current_ma > 0.0)
        self.twin.handle("detectors").apply(bias_ua=(20.0,) * 4, trigger_mv=(100.0,) * 4, enabled=True)

    def _send(self, transmitter: Any) -> None:
        samples, drives = transmitter.sample_codes(self.code), transmitter.drives
        self.twin.handle("awg").apply(
            waveforms=tuple(samples.get(output) for output in (1, 2, 3, 4)),
            sample_rate_hz=transmitter.sample_rate_hz,
            amplitude_v=tuple(drives[o].amplitude_v if o in drives else 0.5 for o in (1, 2, 3, 4)),
            offset_v=tuple(drives[o].offset_v if o in drives else 0.0 for o in (1, 2, 3, 4)),
            output_on=(True,) * 4,
            running=True,
        )
        self.twin.handle("alice_voa").apply(attenuation_db=20.0, shutter_open=True)

    def process(self, channel: str) -> ClickProcess:
        process = self.twin.leaving(f"detectors.{channel}")
        assert isinstance(process, ClickProcess)
        return process

    def slot_hazards(self) -> NDArray[np.float64]:
        """Expected photoelectrons per slot of the code, noise and darks included, shape (4, length)."""
        rows = []
        for channel in CHANNELS:
            process = self.process(channel)
            assert process.train is not None
            steady = (process.noise_hz + process.dark_hz) * PERIOD_S
            rows.append(process.pulse_hazards[process.train.slots] + steady)
        return np.array(rows)

    def error(self) -> float:
        """Sum of both bases' error rates."""
        hazards, code = self.slot_hazards(), self.code
        rates = []
        for basis in (0, 1):
            own, slots = hazards[2 * basis : 2 * basis + 2], np.flatnonzero(code.basis == basis)
            right = own[code.bit[slots], slots].sum()
            rates.append(own[1 - code.bit[slots], slots].sum() / own[:, slots].sum() if right else 1.0)
        return float(sum(rates))

    def align(self) -> float:
        """Minimise the errors by the controller's voltages, once for each core and seed; return their sum."""
        controller = self.twin.handle("polarization_controller")

        def error_at(voltages_v: NDArray[np.float64]) -> float:
            controller.apply(voltages_v=tuple(float(voltage_v) for voltage_v in voltages_v))
            return self.error()

        if self._key not in _ALIGNED_V:
            found = [self._minimised(error_at, start) for start in range(2)]
            while abs(found[-1].fun - min(entry.fun for entry in found[:-1])) > 1e-5:
                found.append(self._minimised(error_at, len(found)))
            _ALIGNED_V[self._key] = min(found, key=lambda entry: entry.fun).x
        return error_at(_ALIGNED_V[self._key])

    @staticmethod
    def _minimised(error_at: Any, start: int) -> Any:
        start_v = np.random.default_rng(start).uniform(-1.0, 1.0, 4)
        return minimize(error_at, start_v, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8})

    def read(self, span_s: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        reader = self.twin.tagger("tagger")
        reader.start(self.twin.lab_time.now_ps())
        return reader.read(self.twin.lab_time.advance_by(round(span_s * 1e12)))

    def slots_of(self, times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> tuple[Any, Any]:
        """The number of the code's slot that each tag belongs to, and its distance from the pulse in ps."""
        process = self.process("1")
        train = process.train
        assert train is not None
        delays_ps = (
            np.array([21250.0, 21430.0, 20980.0, 21120.0]) + process.latency_ps + float(train.delay_ps)
        )
        position = (times_ps - float(train.origin_ps) - delays_ps[channels - 1]) / float(train.slot_ps)
        nearest = np.floor(position + 0.5)
        return nearest.astype(np.int64) % self.code.length, (position - nearest) * float(train.slot_ps)
