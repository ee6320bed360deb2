from pathlib import Path

import pytest

from qdci_lab.errors import ConfigError
from qdci_lab.wire.transcript import find_transcript, load_transcript

TRANSCRIPTS = sorted((Path(__file__).parents[2] / "transcripts").glob("*.toml"))

GOOD = r"""
model = "Maker Model"
[[exchange]]
send = "*IDN?"
reply = "Maker,Model"
source = "manual p. 3"
[[exchange]]
send = ":DATA #14\u0000\n\u00ff\u0080"
source = "assumed: blocks may hold any byte"
"""


def test_a_transcript_keeps_bytes_silence_and_provenance(tmp_path: Path):
    path = tmp_path / "model.toml"
    path.write_text(GOOD, encoding="utf-8")
    transcript = load_transcript(path)
    assert transcript.model == "Maker Model"
    assert [exchange.send for exchange in transcript.exchanges] == [b"*IDN?", b":DATA #14\x00\n\xff\x80"]
    assert [exchange.reply for exchange in transcript.exchanges] == [b"Maker,Model", None]
    assert transcript.balance() == {"manual": 1, "captured": 0, "public driver": 0, "assumed": 1}


def test_an_exchange_without_provenance_is_a_mistake_that_says_where(tmp_path: Path):
    path = tmp_path / "model.toml"
    path.write_text(GOOD.replace("manual p. 3", "somebody said so"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"model.toml: exchange\[0\].source"):
        load_transcript(path)


def test_a_driver_finds_its_transcript_by_the_name_of_its_module(tmp_path: Path):
    (tmp_path / "maker_model.toml").write_text(GOOD, encoding="utf-8")
    known = type("Model", (), {"__module__": "drivers.kind.maker_model"})
    other = type("Model", (), {"__module__": "drivers.kind.other_model"})
    transcript = find_transcript(known, tmp_path)
    assert transcript is not None
    assert transcript.model == "Maker Model"
    assert find_transcript(other, tmp_path) is None


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_every_transcript_can_be_loaded(path: Path):
    transcript = load_transcript(path)
    assert sum(transcript.balance().values()) == len(transcript.exchanges) > 0
