import numpy as np
import pytest

from drivers.key_distribution.transmitter import Transmitter
from qdci_lab.analysis.code import make_code
from qdci_lab.errors import LocalProtocolError

TRANSMITTER = Transmitter(
    repetition_rate_hz=1e8,
    sample_rate_hz=1.6e10,
    signal_v=0.5,
    decoy_v=-0.1,
    polarization_v=(-0.36, -0.12, 0.12, 0.36),
    trigger_low_v=0.0,
    trigger_high_v=0.5,
    mean_photon_number_unattenuated=50.0,
)
CODE = make_code(1024, 0.798, 0.898, seed=1)


def played_v(output):
    drive = TRANSMITTER.drives[output]
    return TRANSMITTER.sample_codes(CODE)[output] / 127 * drive.amplitude_v / 2 + drive.offset_v


def test_every_symbol_holds_its_intensity_for_its_whole_period():
    levels = played_v(1).reshape(1024, 160)
    expected = np.where(CODE.intensity == 0, 0.5, -0.1)
    assert np.abs(levels - expected[:, None]).max() < 1e-9


def test_the_four_states_are_played_in_the_order_z0_x0_z1_x1():
    levels = played_v(2).reshape(1024, 160)[:, 80]
    for basis, bit, volts in ((0, 0, -0.36), (1, 0, -0.12), (0, 1, 0.12), (1, 1, 0.36)):
        chosen = (CODE.basis == basis) & (CODE.bit == bit)
        assert chosen.any()
        assert np.abs(levels[chosen] - volts).max() < 0.72 / 254


def test_the_laser_is_triggered_once_in_the_middle_of_every_symbol():
    high = played_v(3) > 0.25
    rising = np.flatnonzero(high & ~np.roll(high, 1))
    assert np.array_equal(rising, 80 + 160 * np.arange(1024))


def test_a_symbol_must_be_a_whole_number_of_samples():
    odd = Transmitter(**{**vars(TRANSMITTER), "sample_rate_hz": 1.55e10 + 1})
    with pytest.raises(LocalProtocolError, match="samples a symbol"):
        odd.sample_codes(CODE)
