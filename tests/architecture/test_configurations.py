"""Every file in configs/ is valid, and what is wrong in one is told whole."""

import shutil
from pathlib import Path

import pytest

from qdci_lab.config import load_testbed
from qdci_lab.errors import ConfigError
from qdci_lab.session import validated

ROOT = Path(__file__).parents[2]
TESTBEDS = sorted(path.parent for path in ROOT.glob("configs/*/lab.toml"))
ADDRESS_FILES = [(folder, name) for folder in TESTBEDS for name in ("sim.toml", "bench.toml")]


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "ji_mcf"
    shutil.copytree(ROOT / "configs" / "ji_mcf", folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("folder", "name"), ADDRESS_FILES, ids=lambda value: str(getattr(value, "name", value))
)
def test_every_testbed_is_valid_and_its_drivers_resolve(folder, name):
    testbed = validated(folder, name)
    assert testbed.devices
    assert all(isinstance(spec.driver, type) for spec in testbed.devices.values())


def test_all_mistakes_are_told_at_once_with_what_was_meant(copied):
    edit(
        copied / "lab.toml",
        'driver = "drivers.voa.keysight_n7764a:KeysightN7764A"',
        'driver = "drivers.voa.keysight:No"',
    )
    edit(copied / "lab.toml", "repetition_rate_hz", "repetition_rate")
    edit(copied / "sim.toml", '"bob.tagger" = "sim://c_api"', '"bob.taggre" = "sim://c_api"')
    edit(copied / "twin.toml", 'type = "multicore_fibre"', 'type = "multicore_fiber"')
    with pytest.raises(ConfigError) as caught:
        validated(copied, "sim.toml")
    told = str(caught.value)
    assert "lab.toml: devices.alice.voa.driver" in told
    assert "did you mean 'repetition_rate_hz'?" in told
    assert "did you mean 'bob.tagger'?" in told
    assert "twin.toml" in told
    assert "did you mean 'multicore_fibre'?" in told


def test_a_missing_file_is_a_mistake_and_not_a_traceback(copied):
    (copied / "lab.toml").unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_testbed(copied, "sim.toml")


def test_an_address_that_is_none_is_told(copied):
    edit(copied / "bench.toml", "TCPIP::192.0.2.11::5025::SOCKET", "192.0.2.11")
    with pytest.raises(ConfigError, match=r"addresses\.alice\.awg.*no VISA"):
        load_testbed(copied, "bench.toml")
