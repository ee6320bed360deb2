"""Every number that a device of the testbed gives away has a unit, and giving it away costs no word on any wire."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plans.skr_vs_launch_power import skr_vs_launch_power
from qdci_lab.config import load_testbed
from qdci_lab.session import quiet_bluesky

TESTBED = load_testbed(Path(__file__).parents[2] / "configs" / "ji_mcf", "sim.toml")

ROLES = [*TESTBED.devices, "link"]


@pytest.fixture(scope="module")
def descriptors(session) -> list[dict[str, Any]]:
    """The descriptors of a short run, after which every device has measured all that it can."""
    quiet_bluesky()
    found: list[dict[str, Any]] = []
    engine, _ = session.run_engine()
    engine.subscribe(lambda _name, document: found.append(document), "descriptor")
    engine(skr_vs_launch_power(session.link, launch_powers_dbm=[-10.0], detections=2e4))
    return found


@pytest.fixture(scope="module")
def devices(session, descriptors) -> Any:
    assert descriptors
    session.everything()["alice.oscilloscope"].trigger().wait(30.0)  # no part of a key rate's acquisition
    return session.everything()


def without_unit(data_keys: Any) -> list[str]:
    return [name for name, key in data_keys.items() if key["dtype"] != "string" and not key.get("units")]


def test_these_are_all_devices(devices):
    assert list(devices) == ROLES
    assert len(ROLES) == 15


@pytest.mark.parametrize("role", ROLES)
def test_every_number_of_a_device_has_a_unit(devices, role):
    described = devices[role].describe(), devices[role].describe_configuration()
    assert any(key["dtype"] != "string" for keys in described for key in keys.values())
    assert [name for keys in described for name in without_unit(keys)] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_signal_alone_has_a_unit_too(devices, role):
    measured = [signal for signal in devices[role].quantities() if signal.is_measured]
    assert measured
    assert [name for signal in measured for name in without_unit(signal.describe())] == []


def test_every_number_of_a_run_has_a_unit(descriptors):
    for descriptor in descriptors:
        assert without_unit(descriptor["data_keys"]) == []
        for configuration in descriptor["configuration"].values():
            assert without_unit(configuration["data_keys"]) == []


@pytest.mark.parametrize("role", ROLES)
def test_reading_and_describing_say_nothing_on_any_wire(bench, session, devices, log_of: Callable, role):
    logs = [log_of(device) for device in session.devices.values()]
    for log in logs:
        log.clear()
    before_ps = bench.lab_time.now_ps()
    device = devices[role]
    values = {**device.read(), **device.read_configuration()}
    keys = {**device.describe(), **device.describe_configuration()}
    assert values.keys() == keys.keys()
    assert [len(log) for log in logs] == [0] * 14
    assert bench.lab_time.now_ps() == before_ps
