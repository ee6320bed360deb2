"""No password is shown: not in a device's log, not in an error, not in a recording, which replays all the same."""

from contextlib import closing
from pathlib import Path

import pytest

from drivers.optical_switch.polatis_6000_tl1 import Polatis6000Tl1
from qdci_lab.errors import InstrumentError
from qdci_lab.transport.pipe import open_pipe
from qdci_lab.transport.tap import TapTransport
from sim_devices.firmware.polatis_6000_tl1 import Polatis6000Tl1 as SimulatedSwitch
from sim_devices.server.tcp import TcpServer

PASSWORD = "s3cret"


@pytest.fixture
def address():
    switch = SimulatedSwitch({}, serial_number="1", password=PASSWORD)
    with closing(TcpServer(switch.session)) as server:
        server.start()
        yield server.address


def switch_at(address: str, password: str) -> Polatis6000Tl1:
    return Polatis6000Tl1(address, name="switch", password=password)


def test_a_recorded_login_shows_no_password_and_replays(address: str, tmp_path: Path):
    path = tmp_path / "switch.wire"
    switch = switch_at(address, PASSWORD)
    connection = switch.connection
    connection.transport = TapTransport(open_pipe(address), path, conceal=connection.conceal)
    switch.connect()
    switch.disconnect()
    recorded = path.read_text(encoding="utf-8")
    assert "ACT-USER::root:1::****;" in recorded
    assert PASSWORD not in recorded
    assert not any(PASSWORD.encode() in entry.data for entry in connection.log)
    again = switch_at(f"replay:{path}", "an0ther")
    again.connect()
    assert again.connections.last == switch.connections.last
    again.disconnect()


def test_a_refused_login_is_told_without_the_password(address: str):
    with pytest.raises(InstrumentError, match=r"ACT-USER::root:1::\*\*\*\*") as caught:
        switch_at(address, "wr0ng").connect()
    assert "wr0ng" not in str(caught.value)
