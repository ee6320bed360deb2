"""Instruments that no testbed has yet: each driver against its simulator, over its own wire."""

import numpy as np
import pytest
from ophyd.utils import LimitError

from drivers.delay_line.oz_odl650 import OzOdl650
from drivers.oscilloscope.keysight_infiniium import KeysightInfiniium
from drivers.voa.oz_dd100mc import OzDd100mc
from qdci_lab.units import seconds_to_ps
from sim_devices.firmware import FIRMWARES
from sim_devices.firmware.sockets import Unconnected
from sim_devices.server.pty import PtyServer
from sim_devices.server.tcp import TcpServer
from sim_devices.twin.lab_time import LabTime

SOCKETS = {"oz_dd100mc": "attenuator", "oz_odl650": "line", "keysight_infiniium": "1"}
WAIT_S = 30.0


class LabTimeClock:
    """Waits move the lab time of the bench in this process."""

    def __init__(self, lab_time):
        self._lab_time = lab_time

    def now_ps(self):
        return self._lab_time.now_ps()

    def sleep(self, seconds):
        self._lab_time.advance_by(seconds_to_ps(seconds))


@pytest.fixture
def joined():
    """Gives a function that starts a simulator and connects a driver to it."""
    opened = []

    def join(driver, firmware, wire, **options):
        lab_time = LabTime()
        components = {} if firmware == "keysight_infiniium" else {SOCKETS[firmware]: Unconnected(lab_time)}
        instrument = FIRMWARES[firmware](components, serial_number="SIM-1")
        server = wire(instrument.session, name=firmware)
        server.start()
        device = driver(server.address, name="dut", clock=LabTimeClock(lab_time), **options)
        opened.extend([server.close, device.disconnect])
        device.connect()
        return device

    yield join
    for close in reversed(opened):
        close()


@pytest.mark.parametrize("attenuation_db", [0.0, 3.01, 27.5])
def test_the_serial_attenuator_arrives_where_it_is_sent(joined, attenuation_db):
    device = joined(OzDd100mc, "oz_dd100mc", PtyServer)
    device.attenuation.set(max(attenuation_db, device.attenuation.limits[0])).wait(WAIT_S)
    step_db = device.attenuation.quantity.resolution
    assert abs(device.attenuation.get() - max(attenuation_db, device.attenuation.limits[0])) <= step_db
    with pytest.raises(LimitError, match="dB is above"):
        device.attenuation.set(99.0)


def test_the_delay_line_moves_once_it_is_homed(joined):
    device = joined(OzOdl650, "oz_odl650", PtyServer)
    device.home().wait(WAIT_S)
    for delay_ps in (0.0, 123.456, 600.0):
        device.delay.set(delay_ps).wait(WAIT_S)
        assert abs(device.delay.get() - delay_ps) <= device.delay.quantity.resolution
    with pytest.raises(LimitError, match="ps is above"):
        device.delay.set(2000.0)


@pytest.mark.parametrize("word_format", ["BYTE", "WORD"])
@pytest.mark.parametrize("streaming", [False, True])
def test_the_oscilloscope_gives_a_waveform_in_volts(joined, word_format, streaming):
    device = joined(
        KeysightInfiniium, "keysight_infiniium", TcpServer, word_format=word_format, streaming=streaming
    )
    device.trigger().wait(WAIT_S)
    waves = [entry["value"] for name, entry in device.read().items() if np.ndim(entry["value"]) == 1]
    assert waves
    assert np.isfinite(waves[0]).all()
    assert 0.0 < np.ptp(waves[0]) < 10.0
