"""What the bench of a coherent-one-way twin.toml should count and how much key that gives, in closed form.

Independent of the twin and of the laboratory's analysis: only numbers are shared, through the files. Sources:
dead time and afterpulses as a renewal process; secret share, Branciard, Gisin, Scarani 2008, as in Walenta et al. 2014.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """One period of pulses (1) and none (0), slot by slot, and how a slot is played."""

    pulses: Sequence[int]
    mu: float
    slot_rate_hz: float
    samples_per_slot: int
    samples_per_pulse: int

    @property
    def sequences(self) -> list[tuple[int, int]]:
        return list(zip(self.pulses[::2], self.pulses[1::2], strict=True))

    def share(self, *kinds: tuple[int, int]) -> float:
        return sum(kind in kinds for kind in self.sequences) / len(self.sequences)

    def neighbours(self, one: int, other: int) -> float:
        """Share of slots that are `one` after `other` or the other way round."""
        pairs = [(self.pulses[k], self.pulses[k - 1]) for k in range(len(self.pulses))]
        return sum(pair in ((one, other), (other, one)) for pair in pairs) / len(pairs)


@dataclass(frozen=True)
class Line:
    """One detector: clicks per second, the share of time it is alive, and afterpulses per second."""

    clicks_hz: float
    live: float
    afterpulses_hz: float


@dataclass(frozen=True)
class Prediction:
    data: Line
    bright: Line
    dark: Line
    sifted_hz: float
    errors_hz: float
    visibility: float
    secret_bps: float

    @property
    def qber(self) -> float:
        return self.errors_hz / self.sifted_hz


def ratio(decibel: float) -> float:
    return 10.0 ** (decibel / 10.0)


def read(folder: Path) -> tuple[Table, Table]:
    """The components of a twin.toml and the link of a lab.toml."""
    twin = tomllib.loads((folder / "twin.toml").read_text(encoding="utf-8"))["components"]
    return twin, tomllib.loads((folder / "lab.toml").read_text(encoding="utf-8"))["link"]


def sent_by(link: Table, pulses: Sequence[int]) -> Sent:
    transmitter = link["transmitter"]
    return Sent(
        pulses=[int(pulse) for pulse in pulses],
        mu=link["protocol"]["mu"],
        slot_rate_hz=transmitter["slot_rate_hz"],
        samples_per_slot=round(transmitter["sample_rate_hz"] / transmitter["slot_rate_hz"]),
        samples_per_pulse=transmitter["samples_per_pulse"],
    )


def detector(photoelectrons_hz: float, detectors: Table) -> Line:
    """Renewal: blind for tau, then a photoelectron (rate R) or, with p, an afterpulse (rate 1/tau_a), what is first."""
    rate_hz = photoelectrons_hz + detectors["dark_rate_hz"]
    p, decay_hz = detectors["afterpulse_probability"], 1e6 / detectors["afterpulse_time_us"]
    dead_s = detectors["dead_time_ns"] * 1e-9
    wait_s = (1.0 - p) / rate_hz + p / (rate_hz + decay_hz)
    clicks_hz = 1.0 / (dead_s + wait_s)
    return Line(clicks_hz, wait_s * clicks_hz, clicks_hz * p * decay_hz / (rate_hz + decay_hz))


def predict(twin: Table, link: Table, sent: Sent, added_loss_db: float = 0.0) -> Prediction:
    """Rates of the three detectors, sifted bits, errors and key at an added loss."""
    decoder, detectors = twin["decoder"], twin["detectors"]
    leak = ratio(-twin["intensity_modulator"]["extinction_db"])
    on, rest = sent.samples_per_pulse, sent.samples_per_slot - sent.samples_per_pulse
    photons = sent.mu / (on + rest * leak)
    pulse, empty = sent.mu, photons * sent.samples_per_slot * leak
    crossed = photons * (on * math.sqrt(leak) + rest * leak)
    loss_db = twin["fibre"]["loss_db"] + added_loss_db + decoder["receiver_loss_db"]
    data = ratio(-loss_db) * detectors["efficiency"] * decoder["data_share"]
    monitor = ratio(-loss_db) * detectors["efficiency"] * (1.0 - decoder["data_share"])
    lit = sum(sent.pulses) / len(sent.pulses)
    light_hz = sent.slot_rate_hz * (lit * pulse + (1.0 - lit) * empty)
    contrast = decoder["visibility"] * math.cos(decoder.get("phase_error_rad", 0.0))
    met_hz = sent.slot_rate_hz * (
        sent.neighbours(1, 1) * pulse + sent.neighbours(0, 0) * empty + sent.neighbours(1, 0) * crossed
    )
    line = detector(data * light_hz, detectors)
    bright, dark = (
        detector(0.5 * monitor * (light_hz + sign * contrast * met_hz), detectors) for sign in (1.0, -1.0)
    )
    key = sent.share((1, 0), (0, 1))
    background_hz = 0.5 * key * (line.live * detectors["dark_rate_hz"] + line.afterpulses_hz)
    right_hz, wrong_hz = (
        0.5 * sent.slot_rate_hz * key * data * photons * line.live + background_hz
        for photons in (pulse, empty)
    )
    sifted_hz = right_hz + wrong_hz
    protocol = link["protocol"]
    share = secret_share(wrong_hz / sifted_hz, contrast, sent.mu, protocol["f_ec"])
    secret_bps = protocol["distilled_share"] * sifted_hz * share
    return Prediction(line, bright, dark, sifted_hz, wrong_hz, contrast, secret_bps)


def entropy(x: float) -> float:
    return 0.0 if x <= 0.0 or x >= 1.0 else -x * math.log2(x) - (1.0 - x) * math.log2(1.0 - x)


def secret_share(qber: float, visibility: float, mu: float, f_ec: float) -> float:
    """Of a sifted bit, against restricted collective attacks; below zero where there is none."""
    overlap = math.exp(-mu)
    xi = (2.0 * visibility - 1.0) * overlap
    xi -= 2.0 * math.sqrt((1.0 - overlap**2) * visibility * (1.0 - visibility))
    return 1.0 - f_ec * entropy(qber) - qber - (1.0 - qber) * entropy((1.0 + max(xi, 0.0)) / 2.0)
