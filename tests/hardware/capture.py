"""What playing a transcript on an instrument has shown, and the transcript with what was seen."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from qdci_lab.wire.transcript import Exchange
from tests.transcript_player import Finding

SHOWN = 60
_SOURCE = re.compile(r'^source = "(.*)"$', re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """One instrument: its role, its transcript's stem, what it calls itself, and what it answered."""

    role: str
    stem: str
    identity: str
    findings: tuple[Finding, ...]

    @property
    def captured(self) -> list[Exchange]:
        """The exchanges that the instrument has now answered as the transcript says."""
        return [finding.exchange for finding in self.findings if finding.agrees]

    @property
    def wrong(self) -> list[Finding]:
        """What it answered otherwise."""
        return [finding for finding in self.findings if not finding.agrees]

    def summary(self) -> list[str]:
        """Lines for the end of a run: how many of which provenance became captured, and the words of the manual's."""
        counts = Counter(exchange.provenance for exchange in self.captured)
        numbers = ", ".join(f"{count} {provenance}" for provenance, count in sorted(counts.items()))
        lines = [
            f"{self.role} ({self.identity}): captured {numbers or 'nothing'}; {len(self.wrong)} otherwise"
        ]
        manual = [one.send for one in self.captured if one.provenance == "manual"]
        lines += [f"  manual -> captured: {send[:SHOWN]!r}" for send in manual]
        return lines + [f"  otherwise: {finding}" for finding in self.wrong]

    def rewritten(self, text: str, on: date) -> str:
        """The transcript's text, with the source of each exchange that was seen; what it was before stays behind it."""
        head, *blocks = text.split("[[exchange]]")
        seen = f"captured {on.isoformat()} {_quotable(self.identity)}"
        played = zip(blocks, self.findings, strict=False)
        marked = [_marked(block, seen, finding) for block, finding in played]
        return "[[exchange]]".join([head, *marked, *blocks[len(marked) :]])


def identity_in(findings: Sequence[Finding]) -> str:
    """What the instrument calls itself, if it was asked."""
    replies = [one.reply for one in findings if one.exchange.compare == "identity" and one.reply]
    return replies[0].decode("latin-1") if replies else "not asked for its identity"


def _marked(block: str, seen: str, finding: Finding) -> str:
    if not finding.agrees or finding.exchange.provenance == "captured":
        return block
    return _SOURCE.sub(lambda match: f'source = "{seen}; {match[1]}"', block, count=1)


def _quotable(text: str) -> str:
    return "".join(letter if letter.isprintable() and letter not in '"\\' else " " for letter in text)
