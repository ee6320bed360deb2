"""A self-homodyne link of one polarization, 16-QAM of 8 GBd from a generator's codes, and its symbols received."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_devices.twin.layout import ComponentSpec, Layout, Link, PortAddress
from sim_devices.twin.twin import Twin

SEED = 11
SAMPLE_HZ, PER_SYMBOL, SYMBOLS = 64e9, 8, 1024
SYMBOL_S = PER_SYMBOL / SAMPLE_HZ
V_PI_V = 3.5
LASER_DBM, LO_SHARE = 13.9, 0.1  # Ji 2.2: 13.9 dBm, 90/10
OUTPUTS = ("xi", "xq", "yi", "yq")
LINKS = (
    "laser.out coupler.in", "coupler.through modulator.in", "coupler.tap lo_voa.in", "lo_voa.out receiver.lo",
    "awg.1 modulator.i", "awg.2 modulator.q", "modulator.out voa.in", "voa.out receiver.signal",
    *(f"receiver.{output} scope_{output}.baseband" for output in OUTPUTS),
)  # fmt: skip
PARAMETERS: dict[str, dict[str, Any]] = {
    "laser": {},
    "awg": {},
    "coupler": {"tap_share": LO_SHARE},
    "modulator": {"v_pi_v": V_PI_V, "extinction_db": 80.0},
    "voa": {},
    "lo_voa": {},
    "receiver": {"bandwidth_hz": 20e9, "linewidth_hz": 0.0, "self_homodyne": True},
    **{f"scope_{output}": {} for output in OUTPUTS},
}
TYPES = {
    "laser": "cw_laser", "awg": "waveform_source", "coupler": "coupler", "modulator": "iq_modulator",
    "voa": "attenuator", "lo_voa": "attenuator", "receiver": "coherent_receiver",
    **{f"scope_{output}": "oscilloscope_input" for output in OUTPUTS},
}  # fmt: skip


def levels(seed: int = SEED) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Codes of I and Q by symbol: each of the 16 points equally often, in the order of a seed.

    Code 127 is V_pi, where a child is fully open; 27 is nearest to a third of that field.
    """
    points = np.random.default_rng(seed).permutation(np.repeat(np.arange(16), SYMBOLS // 16))
    codes = np.array([-127, -27, 27, 127], np.int8)
    return codes[points // 4], codes[points % 4]


def sent_fields(seed: int = SEED) -> NDArray[np.complex128]:
    """Field of each symbol by that of the carrier: [sin(pi V_I / 2 V_pi) + j sin(pi V_Q / 2 V_pi)] / 2."""
    in_phase, quadrature = (codes.astype(float) / 127.0 for codes in levels(seed))
    return (np.sin(0.5 * np.pi * in_phase) + 1j * np.sin(0.5 * np.pi * quadrature)) / 2.0


def layout(**changes: dict[str, Any]) -> Layout:
    """The link with some parameters of some components changed."""
    components = {
        name: ComponentSpec(TYPES[name], {**parameters, **changes.get(name, {})})
        for name, parameters in PARAMETERS.items()
    }
    return Layout(SEED, components, tuple(_link(*text.split()) for text in LINKS))


def _link(source: str, target: str) -> Link:
    (one, output), (other, entry) = source.split("."), target.split(".")
    return Link(PortAddress(one, output), PortAddress(other, entry))


class CoherentBench:
    """The link, lit and modulated, with the signal attenuated; a lab time that is no round number."""

    def __init__(
        self, signal_loss_db: float = 0.0, lo_loss_db: float = 0.0, **changes: dict[str, Any]
    ) -> None:
        self.twin = Twin(layout(**changes))
        self.twin.handle("laser").apply(emission_on=True, power_dbm=LASER_DBM)
        self.twin.handle("voa").apply(attenuation_db=signal_loss_db, shutter_open=True)
        self.twin.handle("lo_voa").apply(attenuation_db=lo_loss_db, shutter_open=True)
        in_phase, quadrature = (np.repeat(codes, PER_SYMBOL) for codes in levels())
        self.twin.handle("awg").apply(
            waveforms=(in_phase, quadrature, None, None),
            sample_rate_hz=SAMPLE_HZ,
            amplitude_v=(2.0 * V_PI_V,) * 4,
            output_on=(True, True, False, False),
            running=True,
        )
        self.twin.lab_time.advance_to(1_700_000_003_217)

    def unmodulated(self) -> "CoherentBench":
        """The generator switched off."""
        self.twin.handle("awg").apply(running=False)
        return self

    def trace(self, axis: str = "x") -> tuple[NDArray[np.complex128], float]:
        """I + jQ of one polarization in V, and the sample rate."""
        (in_phase, rate_hz), (quadrature, _) = (self._waveform(f"scope_{axis}{part}") for part in "iq")
        return in_phase + 1j * quadrature, rate_hz

    def _waveform(self, scope: str) -> tuple[NDArray[np.float64], float]:
        """What a socket of the oscilloscope reads: V, and the sample rate."""
        found = self.twin.handle(scope).setting("waveform_v")
        assert isinstance(found, tuple)
        return np.asarray(found[0], np.float64), float(found[1])

    def symbols(self, axis: str = "x") -> NDArray[np.complex128]:
        """Shape (frames, SYMBOLS): the voltage in the middle of each symbol, by the generator's time."""
        trace, rate_hz = self.trace(axis)
        frames = round(len(trace) / rate_hz / SYMBOL_S / SYMBOLS)
        middles = (np.arange(frames * SYMBOLS) + 0.5) * SYMBOL_S * rate_hz
        return trace[np.rint(middles).astype(int) % len(trace)].reshape(frames, SYMBOLS)


def fitted(symbols: NDArray[np.complex128], sent: NDArray[np.complex128]) -> tuple[complex, float]:
    """The factor between sent fields and received volts by least squares, and the ratio of signal to what is left."""
    factor = complex(np.mean(symbols * sent.conj()) / np.mean(np.abs(sent) ** 2))
    left = symbols - factor * sent
    return factor, float(abs(factor) ** 2 * np.mean(np.abs(sent) ** 2) / np.mean(np.abs(left) ** 2))
