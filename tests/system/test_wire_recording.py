"""A session on the bench, recorded by the command, becomes a bench of its own for the same drivers."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from qdci_lab import cli
from qdci_lab.cli import devices
from qdci_lab.config import load_testbed
from qdci_lab.errors import ConfigError, LocalProtocolError, NotConnected, RecordError
from qdci_lab.session import open_session
from qdci_lab.wire.wire_log import parse_wire_log

ROOT = Path(__file__).parents[2]
QDCI = (sys.executable, "-m", "qdci_lab.cli")
TAGGER = "bob.tagger"


def qdci(*words):
    return subprocess.run(
        [*QDCI, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def readings(session):
    """What every signal of every device on a byte pipe says, by key; an oscilloscope has to be triggered first."""
    return {
        key: entry["value"]
        for role, device in session.devices.items()
        if role != TAGGER and device.is_measured
        for key, entry in {**device.read(), **device.read_configuration()}.items()
    }


@pytest.fixture(scope="module")
def live(testbed_folder, tmp_path_factory):
    """The folder of the recordings of a session on the simulated bench, and what its devices read."""
    wires = tmp_path_factory.mktemp("bench") / "wires"
    session = open_session(testbed_folder, addresses="sim.toml", wire_log=wires)
    try:
        session.connect()
        return wires, readings(session)
    finally:
        session.close()


@pytest.fixture
def replayed_testbed(testbed_folder, live):
    """A testbed beside the recordings: the same devices without the tagger, at relative addresses."""
    wires, _ = live
    folder = wires.parent
    text = (testbed_folder / "lab.toml").read_text(encoding="utf-8")
    tables = re.split(r"(?m)^(?=\[)", text)
    kept = [table for table in tables if not table.startswith(("[link", f'[devices."{TAGGER}"'))]
    (folder / "lab.toml").write_text("".join(kept), encoding="utf-8")
    roles = [role for role in tomllib.loads(text)["devices"] if role != TAGGER]
    lines = [f'"{role}" = "replay:wires/{role}.wire"' for role in roles]
    (folder / "replay.toml").write_text("\n".join(["[addresses]", *lines, ""]), encoding="utf-8")
    return folder


def replay_session(folder):
    return open_session(folder, addresses="replay.toml")


def test_drivers_read_the_same_from_the_recordings_without_a_bench(replayed_testbed, live):
    session = replay_session(replayed_testbed)
    try:
        assert session.bench is None
        assert session.source == "replay"
        session.connect()
        assert len(session.devices) == 13
        assert readings(session) == live[1]
    finally:
        session.close()


def test_what_was_not_recorded_is_refused_by_name(replayed_testbed):
    session = replay_session(replayed_testbed)
    try:
        session.connect()
        laser = session.devices["classical.laser"]
        with pytest.raises(
            LocalProtocolError,
            match=r"classical\.laser: replay:\S+classical\.laser\.wire: line \d+: .*closed here, but b':SOUR",
        ):
            laser.power.get()
    finally:
        session.close()


def test_a_changed_word_in_a_recording_is_noticed_with_its_line(replayed_testbed):
    wire = replayed_testbed / "wires" / "switch.wire"
    text = wire.read_text(encoding="ascii")
    line = 1 + text[: text.index("*IDN?")].count("\n")
    wire.write_text(text.replace("*IDN?", "*IDM?"), encoding="ascii")
    session = replay_session(replayed_testbed)
    try:
        with pytest.raises(NotConnected, match=rf"switch\.wire: line {line}: .*IDM.*IDN") as caught:
            session.connect()
        assert list(caught.value.failures) == ["switch"]
    finally:
        session.close()
        wire.write_text(text, encoding="ascii")


def test_every_file_names_its_model_and_is_never_overwritten(live, testbed_folder):
    wires, _ = live
    models = {
        path.stem: parse_wire_log(path.read_text("ascii")).header.model for path in wires.glob("*.wire")
    }
    assert models["alice.voa"] == "Keysight N7764A"
    assert len(models) == 13
    before = (wires / "alice.voa.wire").read_bytes()
    with pytest.raises(RecordError, match="recordings already"):
        open_session(testbed_folder, addresses="sim.toml", wire_log=wires)
    assert (wires / "alice.voa.wire").read_bytes() == before


def test_the_command_records_and_says_what_cannot_be(testbed_folder, tmp_path):
    result = qdci("record-wire", testbed_folder, "--sim", "--out", tmp_path / "wires")
    assert result.returncode == 0, result.stderr
    assert f"alice.voa  replay:{tmp_path / 'wires' / 'alice.voa.wire'}" in result.stdout
    assert re.search(rf"{TAGGER}  not recorded: .*C library", result.stdout)
    entries = parse_wire_log((tmp_path / "wires" / "switch.wire").read_text("ascii")).entries
    assert (entries[0].mark.value, entries[-1].mark.value) == ("+", "-")


def test_the_command_records_a_plan(testbed_folder, tmp_path):
    result = qdci(
        "record-wire", testbed_folder, "skr_vs_launch_power", "--sim", "--out", tmp_path,
        "--set", "launch_powers_dbm=[-10]", "--set", "detections=2e4",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("*.h5"))) == 1
    assert r":OUTP1 ON\n" in (tmp_path / "alice.awg.wire").read_text("ascii")
    assert r"\{" in (tmp_path / "alice.awg.wire").read_text("ascii")


def test_arguments_without_a_plan_are_a_mistake(testbed_folder, tmp_path, capsys):
    words = ["record-wire", str(testbed_folder), "--sim", "--out", str(tmp_path), "--set", "core=2"]
    assert cli.main(words) == 1
    assert "--set: there is no plan" in capsys.readouterr().err


def test_an_address_without_a_file_is_a_mistake(replayed_testbed):
    book = replayed_testbed / "replay.toml"
    (replayed_testbed / "wrong.toml").write_text(
        book.read_text("utf-8").replace("replay:wires/switch.wire", "replay:"), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"switch: 'replay:' is no VISA, serial, c_api, replay: or sim://"):
        load_testbed(replayed_testbed, "wrong.toml")


def test_check_prints_from_where_each_protocol_is_known(testbed_folder, capsys, mocker):
    assert cli.main(["check", str(testbed_folder), "--sim"]) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"alice\.voa  Keysight.*\(\d+ manual, \d+ captured, \d+ public driver, \d+ assumed\)", printed
    )
    mocker.patch.object(devices, "TRANSCRIPTS", testbed_folder / "no-such-folder")
    assert cli.main(["check", str(testbed_folder), "--sim"]) == 0
    printed = capsys.readouterr().out
    assert "alice.voa  Keysight" in printed
    assert "manual" not in printed
    assert "transcript" not in printed
