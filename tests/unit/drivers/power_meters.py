"""Power meters made of registers: 1 mW is on the sensor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.power_meter.keysight_n7744a import KeysightN7744A
from drivers.power_meter.thorlabs_pm100d import ThorlabsPm100d
from qdci_lab.device import Instrument
from tests.unit.drivers.fake_scpi import FakeScpi


@dataclass(frozen=True)
class PowerMeter:
    """A model; `reading` is the register of the measured power, in watts."""

    driver: type[Instrument]
    registers: Mapping[str, str]
    reading: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def fake(self) -> FakeScpi:
        return FakeScpi(dict(self.registers))


N7744A = PowerMeter(
    KeysightN7744A,
    {
        "*IDN?": "Keysight Technologies,N7744A,DE48B00101,1.17",
        ":SENS2:POW:UNIT": "0",
        ":SENS2:POW:REF:STAT": "1",
        ":SENS2:POW:RANG:AUTO": "0",
        ":INIT2:CONT": "1",
        ":SENS2:POW:ATIM": "+1.00000000E-001",
        ":SENS2:POW:WAV? MIN": "+1.25000000E-006",
        ":SENS2:POW:WAV? MAX": "+1.65000000E-006",
        ":SENS2:POW:WAV": "+1.31000000E-006",
        ":READ2:POW": "+1.00000000E-003",
    },
    reading=":READ2:POW",
    options={"slot": 2},
)

PM100D = PowerMeter(
    ThorlabsPm100d,
    {
        "*IDN?": "Thorlabs,PM100D,P0012345,2.4.0",
        ":SENS:POW:UNIT": "DBM",
        ":SENS:RANGE:AUTO": "0",
        ":SYST:SENS:IDN?": "S154C,1304083,01-Jan-2020,1,2,289",
        ":SENS:CORR:WAV? MIN": "7.00000000E+02",
        ":SENS:CORR:WAV? MAX": "1.80000000E+03",
        ":SENS:CORR:WAV": "6.35000000E+02",
        ":SENS:AVER": "1",
        ":MEAS:POW": "1.00000000E-03",
    },
    reading=":MEAS:POW",
)
