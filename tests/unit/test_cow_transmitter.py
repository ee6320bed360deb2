"""What the generator is told for a coherent-one-way code, and what cannot be played."""

from dataclasses import replace

import numpy as np
import pytest

from drivers.key_distribution.cow_settings import CowAgreement, CowTransmitter
from qdci_lab.analysis.cow_code import CowCode
from qdci_lab.errors import LocalProtocolError

TRANSMITTER = CowTransmitter(
    slot_rate_hz=1.25e9, sample_rate_hz=1.5e10, samples_per_pulse=2, pulse_v=0.4, empty_v=-0.4,
    laser_power_dbm=10.0, laser_wavelength_nm=1550.12, mean_photon_number_unattenuated=2358.0,
)  # fmt: skip


def test_a_pulse_fills_the_first_samples_of_its_slot():
    waveforms = TRANSMITTER.waveforms(CowCode.from_digits("012"))
    slots = waveforms.samples[1].reshape(-1, 12)
    assert np.array_equal(slots[:, 0] > 0, [True, False, False, True, True, True])
    assert slots[0].tolist() == [127, 127, *[-127] * 10]
    assert np.all(slots[1] == -127)
    assert waveforms.amplitudes_v == {1: pytest.approx(0.8)}
    assert waveforms.offsets_v == {1: pytest.approx(0.0)}


@pytest.mark.parametrize(
    "change", [{"sample_rate_hz": 1.6e10}, {"samples_per_pulse": 12}, {"samples_per_pulse": 0}]
)
def test_samples_that_do_not_fit_a_slot_are_refused(change):
    with pytest.raises(LocalProtocolError, match="samples a slot"):
        replace(TRANSMITTER, **change).waveforms(CowCode.from_digits("01"))


def test_the_agreed_code_is_the_same_every_time():
    agreement = CowAgreement(mu=0.1, p_decoy=0.1, p_vacuum=0.05)
    assert agreement.code() == agreement.code()
    assert agreement.code() != replace(agreement, code_seed=2).code()
    assert agreement.protocol().cutoff_loss_db == float("inf")
