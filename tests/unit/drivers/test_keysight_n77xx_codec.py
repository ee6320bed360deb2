import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import keysight_n77xx_codec as codec
from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.message import Command, Query


def entries(slot: int) -> list[Command | Query]:
    return [
        codec.Attenuation.get(slot), codec.Attenuation.set(slot, 1.0),
        codec.AttenuationOffset.get(slot), codec.AttenuationOffset.set(slot, 1.0),
        codec.AttenuationSpeed.get(slot), codec.AttenuationSpeed.set(slot, 1.0),
        codec.AttenuatorWavelength.get(slot), codec.AttenuatorWavelength.set(slot, 1550.0),
        codec.Output.get(slot), codec.Output.set(slot, 1),
        codec.PowerControl.set(slot, 0), codec.MonitorUnit.set_watt(slot), codec.PowerReading.get(slot),
        *codec.MeterSetup.commands(slot),
        codec.SensorWavelength.get(slot), codec.SensorWavelength.set(slot, 1550.0),
        codec.AveragingTime.get(slot), codec.AveragingTime.set(slot, 1.0),
        codec.LaserWavelength.get(slot), codec.LaserWavelength.set(slot, 1550.0),
        codec.LaserAutoMode.get(slot), codec.LaserAutoMode.set(slot, 1), codec.LaserFrequency.get(slot),
        codec.LaserPower.get(slot), codec.LaserPower.set(slot, 1.0), codec.LaserPower.set_unit_dbm(slot),
    ]  # fmt: skip


def test_every_message_names_its_slot_in_its_first_node():
    assert all(entry.message[1:6].decode().rstrip(":?").endswith("3") for entry in entries(3))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (codec.Attenuation.set(1, 14.0), b":INP1:ATT 14.000"),
        (codec.AttenuationOffset.set(3, -2.0), b":INP3:OFFS -2.000"),
        (codec.AttenuatorWavelength.set(1, 1550.12), b":INP1:WAV 1550.120NM"),
        (codec.Output.set(1, True), b":OUTP1 1"),
        (codec.SensorWavelength.set(2, 1310.0), b":SENS2:POW:WAV 1310.000NM"),
        (codec.AveragingTime.set(4, 0.02), b":SENS4:POW:ATIM 0.020000S"),
        (codec.LaserWavelength.set(1, 1550.1234), b":SOUR1:WAV 1550.1234NM"),
        (codec.LaserPower.set(1, 13.9), b":SOUR1:POW 13.900DBM"),
    ],
)
def test_commands_are_as_the_guide_has_them(command: Command, message: bytes):
    assert command.message == message


def test_bounds_are_asked_for_by_name():
    assert codec.LaserPower.get(1, codec.LOWEST).message == b":SOUR1:POW? MIN"
    assert codec.SensorWavelength.get(1, codec.HIGHEST).message == b":SENS1:POW:WAV? MAX"


@given(st.floats(1200, 1700))
def test_a_wavelength_survives_the_instruments_32_bit_floats(value_nm: float):
    printed = f"{float(np.float32(round(value_nm, 3) * 1e-9)):+.8E}".encode()
    assert codec.wavelength_nm(printed) == pytest.approx(value_nm, abs=0.0005 + 0.00015)


@pytest.mark.parametrize("state", [2, -1, 0.5, math.nan])
def test_what_is_neither_on_nor_off_is_refused(state: float):
    with pytest.raises(LocalProtocolError, match=str(state)):
        codec.on_off(state)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_only_finite_numbers_are_printed(value: float):
    with pytest.raises(LocalProtocolError, match="finite"):
        codec.Attenuation.set(1, value)


@pytest.mark.parametrize("slot", [0, 9, True, 1.0, "1"])
def test_slots_that_the_model_lacks_are_refused(slot: int):
    with pytest.raises(LocalProtocolError, match="from 1 to 8"):
        codec.checked_slot(slot, 8)


@pytest.mark.parametrize(
    ("reply", "expected_dbm"),
    [(b"+1.00000000E-003", 0.0), (b"+0.00000000E+000", -math.inf), (b"-1.23000000E-012", -math.inf)],
)
def test_readings_without_light_are_minus_infinity(reply: bytes, expected_dbm: float):
    assert codec.power_dbm(codec.power_reading_w(reply)) == expected_dbm


@pytest.mark.parametrize("reply", [b"+3.40282300E+038", b"-3.40282300E+038", b"+9.91000000E+037"])
def test_invalid_readings_are_not_a_number(reply: bytes):
    assert math.isnan(codec.power_dbm(codec.power_reading_w(reply)))


def test_a_reading_that_is_no_number_is_the_instruments_mistake():
    with pytest.raises(RemoteProtocolError, match="oops"):
        codec.power_reading_w(b"oops")
