"""The qiu_cow_dci twin with the lab's own pattern sent, and the lab's analysis of its tags; no wires."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qdci_lab.analysis.clock_recovery import ClockSearch
from qdci_lab.analysis.cow_code import make_cow_code
from qdci_lab.analysis.cow_result import CowProtocol, CowReceiver, CowResult
from qdci_lab.analysis.cow_tags import CowAnalysis, CowSettings
from sim_devices.config import load_twin
from sim_devices.twin.layout import ComponentSpec, Layout
from sim_devices.twin.twin import Twin
from tests.physics import cow_closed_form

TESTBED = Path(__file__).parents[2] / "configs" / "qiu_cow_dci"
TWIN, LINK = cow_closed_form.read(TESTBED)
CODE = make_cow_code(*(LINK["protocol"][key] for key in ("code_length", "p_decoy", "p_vacuum", "code_seed")))
SENT = cow_closed_form.sent_by(LINK, [int(pulse) for pulse in CODE.pulses])
STEADY = {"fibre": {"loss_wander_db": 0.0}, "decoder": {"phase_wander_rad": 0.0}}
"""Changes that take the slow wandering away."""


def settings() -> CowSettings:
    """As the lab's configuration has them."""
    protocol, receiver, channel = LINK["protocol"], LINK["receiver"], LINK["channel"]
    agreed = ("mu", "f_ec", "distilled_share", "cutoff_loss_db")
    lists = {key: tuple(receiver[key]) for key in ("inputs", "delays_ps")}
    return CowSettings(
        code=CODE,
        protocol=CowProtocol(**{key: protocol[key] for key in agreed}),
        receiver=CowReceiver(**{**receiver, **lists}),
        period_ps=1e12 / SENT.slot_rate_hz,
        search=ClockSearch(**{key: channel[key] for key in ("max_offset_ppm", "max_drift_ppb_per_s")}),
    )


def cow_layout(**changes: dict[str, object]) -> Layout:
    """The layout of qiu_cow_dci with some parameters of some components changed."""
    layout = load_twin(TESTBED)
    components = dict(layout.components)
    for name, parameters in changes.items():
        components[name] = ComponentSpec(components[name].type, {**components[name].parameters, **parameters})
    return replace(layout, components=components)


class CowBench:
    """A twin that sends the lab's code with its mean photon number."""

    def __init__(self, seed: int = 1, added_loss_db: float = 0.0, **changes: dict[str, object]) -> None:
        self.twin = Twin(cow_layout(**{**STEADY, **changes}), seed)
        slot = np.full((2, SENT.samples_per_slot), -127, np.int8)
        slot[1, : SENT.samples_per_pulse] = 127
        transmitter = LINK["transmitter"]
        self.twin.handle("awg").apply(
            waveforms=(slot[CODE.pulses].ravel(), None, None, None),
            sample_rate_hz=transmitter["sample_rate_hz"],
            amplitude_v=(transmitter["pulse_v"] - transmitter["empty_v"],) * 4,
            output_on=(True, False, False, False),
            running=True,
        )
        self.twin.handle("laser").apply(
            emission_on=True,
            power_dbm=transmitter["laser_power_dbm"],
            wavelength_nm=transmitter["laser_wavelength_nm"],
        )
        attenuation_db = 10.0 * np.log10(transmitter["mean_photon_number_unattenuated"] / SENT.mu)
        self.twin.handle("alice_voa").apply(attenuation_db=float(attenuation_db), shutter_open=True)
        self.twin.handle("channel_voa").apply(attenuation_db=added_loss_db, shutter_open=True)
        self.added_loss_db = added_loss_db

    def read(self, span_s: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        until_ps = self.twin.lab_time.advance_by(round(span_s * 1e12))
        return self.twin.tagger("tagger").read(until_ps)

    def measure(self, span_s: float, told_loss_db: float | None = None) -> CowResult:
        """The lab's analysis of `span_s`; the loss told is the fibre's and what was added, if not another."""
        analysis = CowAnalysis(settings())
        analysis.add(*self.read(span_s))
        known_db = LINK["channel"]["fibre_loss_db"] + self.added_loss_db
        return analysis.result(round(span_s * 1e12), known_db if told_loss_db is None else told_loss_db)
