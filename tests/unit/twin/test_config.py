"""Mistakes in twin.toml and sim.toml: all found, each in its place, with a hint."""

from pathlib import Path

import pytest

from qdci_lab.errors import ConfigError, Mistake
from sim_devices.config import find_mistakes, load_twin
from tests.physics.ji_bench import TESTBED

GOOD_SIM = '[addresses]\n"alice.voa" = "sim://tcp:15025"\n"alice.real" = "TCPIP::192.0.2.7::5025::SOCKET"\n'
SMALL = """
seed = 3
[components.laser]
type = "cw_laser"
[components.voa]
type = "attenuator"
insertion_loss_db = 1
[components.meter]
type = "power_sensor"
[[links]]
from = "laser.out"
to = "voa.in"
[[links]]
from = "voa.out"
to = "meter.in"
[instruments."alice.voa"]
firmware = "keysight_n7764a"
serial_number = "SIM-1"
components = { "1" = "voa" }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "twin.toml").write_text(SMALL)
    (tmp_path / "sim.toml").write_text(GOOD_SIM)
    return tmp_path


def spoil(folder: Path, old: str, new: str, file: str = "twin.toml") -> list[Mistake]:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    return find_mistakes(folder)


def test_a_good_testbed_has_no_mistakes(folder: Path):
    assert find_mistakes(folder) == []
    layout = load_twin(folder)
    assert layout.seed == 3
    assert layout.components["voa"].parameters["insertion_loss_db"] == 1.0
    assert str(layout.links[0].target) == "voa.in"
    assert layout.instruments["alice.voa"].components == {"1": "voa"}


def test_ji_mcf_is_in_order():
    layout = load_twin(TESTBED)
    assert len(layout.instruments) == 14
    assert {spec.type for spec in layout.components.values()} >= {"multicore_fibre", "time_tagger"}


@pytest.mark.parametrize(
    ("old", "new", "key", "suggestion"),
    [
        ('"attenuator"', '"attenuater"', "components.voa.type", "attenuator"),
        ("insertion_loss_db", "insertion_los_db", "components.voa.insertion_los_db", "insertion_loss_db"),
        ("insertion_loss_db = 1", "insertion_loss_db = -1", "components.voa.insertion_loss_db", None),
        ("insertion_loss_db = 1", 'insertion_loss_db = "1"', "components.voa.insertion_loss_db", None),
        ("insertion_loss_db = 1", "insertion_loss_db = true", "components.voa.insertion_loss_db", None),
        ('"laser.out"', '"laser.our"', "links[0].from", "out"),
        ('"laser.out"', '"lazer.out"', "links[0].from", "laser"),
        ('to = "meter.in"', 'to = "meter.inn"', "links[1].to", "in"),
        ('to = "meter.in"', 'to = "voa.in"', "links[1].to", None),
        ('from = "voa.out"', 'from = "laser.out"', "links[1].from", None),
        ('from = "voa.out"', 'from = "voa"', "links[1].from", None),
        ('from = "voa.out"', 'form = "voa.out"', "links[1].form", "from"),
        ("seed = 3", "seed = -3", "seed", None),
        ("seed = 3", "sed = 3", "sed", "seed"),
        ('"keysight_n7764a"', '"keysight_n7764"', "instruments.alice.voa.firmware", "keysight_n7764a"),
        ('= "voa" }', '= "vao" }', "instruments.alice.voa.components.1", "voa"),
        ("serial_number", "serial", "instruments.alice.voa.serial_number", None),
    ],
)
def test_one_mistake_is_found_and_explained(
    folder: Path, old: str, new: str, key: str, suggestion: str | None
):
    mistakes = [mistake for mistake in spoil(folder, old, new) if mistake.key == key]
    assert len(mistakes) == 1
    assert mistakes[0].file == "twin.toml"
    assert mistakes[0].suggestion == suggestion


@pytest.mark.parametrize(
    ("old", "new", "key", "suggestion"),
    [
        ('"sim://tcp:15025"', '"sim://tpc"', "addresses.alice.voa", "sim://tcp"),
        ('"sim://tcp:15025"', '"sim:/pty"', "addresses.alice.voa", "sim://pty"),
        ('"sim://tcp:15025"', '"sim://pty:3"', "addresses.alice.voa", "sim://pty"),
        ('"TCPIP::192.0.2.7::5025::SOCKET"', '"sim://tcp"', "addresses.alice.real", "alice.voa"),
        ('"alice.voa"', '"alice.vao"', "addresses.alice.vao", "alice.voa"),
        ('"sim://tcp:15025"', "7", "addresses.alice.voa", None),
        ("[addresses]", "[adresses]", "adresses", "addresses"),
    ],
)
def test_addresses_are_checked(folder: Path, old: str, new: str, key: str, suggestion: str | None):
    mistakes = [mistake for mistake in spoil(folder, old, new, "sim.toml") if mistake.key == key]
    assert len(mistakes) == 1
    assert mistakes[0].file == "sim.toml"
    assert mistakes[0].suggestion == suggestion


def test_all_mistakes_are_reported_at_once(folder: Path):
    text = (
        SMALL.replace("laser.out", "laser.up")
        .replace("_loss_db = 1", "_loss_db = 900")
        .replace('"voa" }', '"x" }')
    )
    (folder / "twin.toml").write_text(text)
    (folder / "sim.toml").write_text("[addresses\n")
    mistakes = find_mistakes(folder)
    assert [mistake.file for mistake in mistakes].count("twin.toml") == 3
    assert mistakes[-1].file == "sim.toml"
    assert "not TOML" in mistakes[-1].reason
    with pytest.raises(ConfigError) as caught:
        load_twin(folder)
    assert len(caught.value.mistakes) == 2


def test_unlike_ports_cannot_be_linked(folder: Path):
    text = SMALL + '[components.awg]\ntype = "waveform_source"\n'
    (folder / "twin.toml").write_text(text.replace('from = "voa.out"', 'from = "awg.1"'))
    (mistake,) = find_mistakes(folder)
    assert mistake.key == "links[1]"
    assert "voltage output to a light input" in mistake.reason


def test_a_component_has_one_instrument(folder: Path):
    entry = '[instruments.second]\nfirmware = "keysight_n7764a"\nserial_number = "2"\ncomponents = { "3" = "voa" }\n'
    (folder / "twin.toml").write_text(SMALL + entry)
    (mistake,) = find_mistakes(folder)
    assert mistake.key == "instruments.second.components.3"
    assert "held by alice.voa" in mistake.reason


def test_a_missing_file_is_a_mistake(folder: Path):
    (folder / "sim.toml").unlink()
    (mistake,) = find_mistakes(folder)
    assert mistake.file == "sim.toml"
