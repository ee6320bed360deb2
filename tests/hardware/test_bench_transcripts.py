"""Each instrument of a testbed answers as its transcript says; it is in its safe state afterwards."""

from contextlib import closing

import pytest

from qdci_lab.config import DeviceSpec
from qdci_lab.device import Instrument
from tests.hardware.capture import Played, identity_in
from tests.transcript_player import TRANSCRIPTS, player_at

WAIT_S = 60.0


def test_the_instrument_answers_as_its_transcript_says(spec: DeviceSpec, note: list[Played]):
    stem = spec.driver.__module__.rpartition(".")[2]
    if stem not in TRANSCRIPTS:
        pytest.skip(f"{spec.role}: there is no transcript of {stem}: it has no wire")
    if spec.source != "bench":
        pytest.skip(f"{spec.role}: {spec.address} is no instrument's address")
    transcript = TRANSCRIPTS[stem]
    other = {name: spec.options.get(name) for name in transcript.options}
    if other != transcript.options:
        pytest.skip(
            f"{spec.role}: its transcript is about {dict(transcript.options)}, the device has {other}"
        )
    player, pipe = player_at(spec, spec.address)
    with closing(pipe):
        findings = tuple(player.play(transcript))
    make_safe(spec)
    played = Played(spec.role, stem, identity_in(findings), findings[: len(transcript.exchanges)])
    note.append(played)
    assert [str(finding) for finding in findings if not finding.agrees] == []


def make_safe(spec: DeviceSpec) -> None:
    """Light off, outputs off, as the driver does it."""
    device = spec.driver(spec.address, name="device", label=spec.role, **spec.options)
    assert isinstance(device, Instrument)
    device.reach()
    device.make_safe().wait(WAIT_S)
    device.disconnect()
