"""Clients that others wrote, against the simulators: QMI (QuTech) and PyMeasure drive what our drivers drive.

What they believe of an instrument they have from its manual or from the instrument itself, not from us. Their own
warnings are theirs. pyvisa, pyvisa-shell and pyserial speak with the main testbed's instruments elsewhere.
"""

import importlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim_devices.bench import Bench

TESTBED = Path(__file__).parents[1] / "testbeds" / "every_model"
WAIT_S = 30.0
LOAD_OHM = 10.0  # what is at an output of the simulated supply

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(TESTBED) as running:
        running.twin.handle("light").apply(emission_on=True)
        yield running


def foreign_class(module: str, name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(importlib.import_module(module), name)


@pytest.fixture
def qmi(bench: Bench) -> Iterator[Callable[..., Any]]:
    """Opens an instrument with a driver of QMI's."""
    context = foreign_class("qmi.core.context", "QMI_Context")("contract_tests")
    opened: list[Any] = []

    def open_instrument(role: str, module: str, name: str) -> Any:
        address = bench.devices[role].address
        is_socket = "::" in address
        place = f"tcp:127.0.0.1:{address.split('::')[2]}" if is_socket else f"serial:{address}:baudrate=9600"
        instrument = foreign_class(f"qmi.instruments.{module}", name)(context, role, place)
        instrument.open()
        opened.append(instrument)
        return instrument

    yield open_instrument
    for instrument in opened:
        instrument.close()


@pytest.fixture
def pymeasure(bench: Bench) -> Iterator[Callable[..., Any]]:
    """Opens an instrument with a driver of PyMeasure's."""
    adapters: list[Any] = []

    def open_instrument(role: str, module: str, name: str) -> Any:
        adapter = foreign_class("pymeasure.adapters", "VISAAdapter")(
            bench.devices[role].address,
            visa_library="@py",
            read_termination="\n",
            write_termination="\n",
            timeout=5000,
        )
        adapters.append(adapter)
        return foreign_class(f"pymeasure.instruments.{module}", name)(adapter)

    yield open_instrument
    for adapter in adapters:
        adapter.connection.close()


def test_qmi_sets_the_serial_attenuator(bench, qmi):
    voa = qmi("oz_dd100mc", "ozoptics.dd100mc", "OZOptics_DD100MC")
    voa.home()
    steps = voa.set_attenuation(20.0)
    position = voa.get_position()
    assert position.steps == steps
    assert position.attenuation == pytest.approx(20.0, abs=0.01)
    assert bench.twin.handle("motor_attenuator").setting("attenuation_db") == pytest.approx(18.8, abs=0.01)
    assert any("IL:1.20" in line for line in voa.get_configuration_display())


def test_qmi_drives_the_squeezers(bench, qmi):
    controller = qmi("oz_epc400", "ozoptics.epc_driver", "OzOptics_EpcDriver")
    controller.set_operating_mode_dc()
    assert controller.get_operating_mode() == "DC"
    for channel, voltage_mv in enumerate((2200, -5000, 0, -37), start=1):
        controller.set_voltage(channel, voltage_mv)
    assert controller.get_voltages() == (2200, -5000, 0, -37)
    assert bench.twin.handle("squeezers").setting("voltages_v") == (2.2, -5.0, 0.0, -0.037)
    controller.set_high(1)
    controller.set_low(2)
    controller.set_zero(4)
    assert controller.get_voltages() == (5000, -5000, 0, 0)


def test_qmi_scrambles_with_the_squeezers(qmi):
    controller = qmi("oz_epc400", "ozoptics.epc_driver", "OzOptics_EpcDriver")
    controller.set_operating_mode_ac()
    assert controller.get_operating_mode() == "AC"
    for channel, frequency_hz in enumerate((7, 17, 0, 100), start=1):
        controller.set_frequency(channel, frequency_hz)
    assert controller.get_frequencies() == (7, 17, 0, 100)
    controller.set_waveform_type_triangle()
    assert controller.get_waveform_type() == "Triangle"
    controller.set_waveform_type_sine()
    assert controller.get_waveform_type() == "Sine"
    controller.enable_dc_in_ac_mode()
    assert controller.is_in_dc_in_ac_mode()
    before = controller.get_ac_dc_channel_status()
    controller.toggle_channel_ac_dc(3)
    after = controller.get_ac_dc_channel_status()
    assert [one != other for one, other in zip(before, after, strict=True)] == [False, False, True, False]
    controller.toggle_channel_ac_dc(3)
    controller.disable_dc_in_ac_mode()
    controller.save_to_flash()
    controller.set_operating_mode_dc()


def test_qmi_turns_the_paddles(qmi):
    paddles = qmi("thorlabs_mpc320", "thorlabs.mpc320", "Thorlabs_Mpc320")
    identity = paddles.get_idn()
    assert identity.model == b"MPC320"
    assert identity.serial == 94000001
    paddles.enable_channels([1, 2, 3])
    paddles.set_polarisation_parameters(100, 0.0, 10.0, 20.0, 30.0)
    parameters = paddles.get_polarisation_parameters()
    assert parameters.velocity == 100
    assert parameters.jog_step3 == pytest.approx(30.0, abs=170.0 / 1370.0)
    paddles.home_channel(2)
    arrived(lambda: paddles.is_channel_homed(2, timeout=0.05))  # QMI waits half a second at each look
    paddles.move_absolute(2, 85.0)
    arrived(lambda: paddles.is_move_completed(2, timeout=0.05))
    assert paddles.get_status_update(2).position == pytest.approx(85.0, abs=170.0 / 1370.0)
    paddles.disable_all_channels()


def arrived(is_there: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not is_there():
        assert time.monotonic() < deadline_s


def test_qmi_reads_the_power_meter(bench, qmi):
    bench.twin.handle("motor_attenuator").apply(attenuation_db=0.0)
    meter = qmi("thorlabs_pm100d", "thorlabs.pm100d", "Thorlabs_PM100D")
    meter.reset()
    assert meter.get_idn().model == "PM100D"
    sensor = meter.get_sensor_info()
    assert (sensor.name, sensor.serial) == ("S154C", "130620123")
    assert sensor.flags & 1  # a sensor of power
    meter.set_wavelength(1550.0)
    assert meter.get_wavelength() == 1550.0
    assert meter.get_power() == pytest.approx(0.25e-3, rel=1e-3)
    meter.set_autorange(False)
    assert meter.get_autorange() is False
    meter.set_range(1e-3)
    assert meter.get_range() >= 1e-3
    assert meter.get_current() == pytest.approx(0.25e-3, rel=0.1)  # about 1 A/W
    meter.set_autorange(True)


def test_pymeasure_reads_the_power_meter(bench, pymeasure):
    bench.twin.handle("motor_attenuator").apply(attenuation_db=10.0 * math.log10(2.0))
    meter = pymeasure("thorlabs_pm100d", "thorlabs", "ThorlabsPM100USB")
    assert meter.sensor_name == "S154C"
    assert meter.is_power_sensor
    assert meter.wavelength_settable
    meter.wavelength = 1310
    assert meter.wavelength == 1310.0
    meter.wavelength = 1e6  # cut to the sensor's own end
    assert meter.wavelength == meter.wavelength_max
    assert meter.power == pytest.approx(0.125e-3, rel=1e-3)


def test_pymeasure_sets_the_supply(pymeasure):
    supply = pymeasure("keysight_e36312a", "keysight", "KeysightE36312A")
    assert "E36312A" in supply.id
    setpoints = ((supply.ch_1, 1.5), (supply.ch_2, 2.345), (supply.ch_3, 24.0))
    for channel, voltage_v in setpoints:
        channel.voltage_setpoint = voltage_v
        channel.current_limit = 0.25
        channel.output_enabled = True
    for channel, voltage_v in setpoints:
        assert channel.voltage_setpoint == pytest.approx(voltage_v)
        assert channel.current_limit == pytest.approx(0.25)
        assert channel.output_enabled is True
        reached_v = min(voltage_v, 0.25 * LOAD_OHM)
        assert channel.voltage == pytest.approx(reached_v, abs=0.01)
        assert channel.current == pytest.approx(reached_v / LOAD_OHM, abs=0.001)
        channel.output_enabled = False
        assert channel.voltage == pytest.approx(0.0, abs=0.05)
    assert supply.check_errors() == []
