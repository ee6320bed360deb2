"""The errors a user of the lab can meet, one tree under `LabError`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class LabError(Exception):
    """Anything the framework reports on purpose; everything else is a defect."""


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in a configuration, and where to mend it."""

    file: str
    key: str
    reason: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{self.file}: {self.key}: {self.reason}{hint}"


class ConfigError(LabError):
    """A configuration that cannot be used, with all its mistakes at once."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        heading = f"{count} mistake{'s' if count != 1 else ''} in the configuration"
        super().__init__("\n".join([f"{heading}:", *(f"  {mistake}" for mistake in self.mistakes)]))


class TransportError(LabError):
    """Bytes did not pass: the link is closed, lost or silent. The conversation must be opened anew."""


class TransportTimeout(TransportError):
    """The instrument did not answer in time."""


class SettingsChanged(LabError):
    """After a lost link an instrument has other settings than before it, as after a reboot; they stay as they are."""


class LocalProtocolError(LabError):
    """We were about to say something the protocol does not allow."""


class RemoteProtocolError(LabError):
    """The instrument said something its manual does not allow."""


class InstrumentError(LabError):
    """The instrument refused: its own error code and text."""

    def __init__(self, code: int, text: str, *, instrument: str = "", message: str = "") -> None:
        self.code = code
        self.text = text
        self.instrument = instrument
        where = f"{instrument}: " if instrument else ""
        cause = f" in answer to {message!r}" if message else ""
        super().__init__(f"{where}error {code}, {text!r}{cause}")


class NotConnected(LabError):
    """One or several instruments that could not be reached, each with its own reason."""

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        self.failures = dict(failures)
        lines = [
            f"  {name}: {str(reason).removeprefix(f'{name}: ')}" for name, reason in self.failures.items()
        ]
        super().__init__("\n".join([f"not connected: {', '.join(self.failures)}", *lines]))


class AcquisitionError(LabError):
    """A measurement that ended without the data it was asked for."""


class Abandoned(AcquisitionError):
    """A measurement that was given up because nobody wants it any longer: its point is taken again."""


class Interrupted(LabError):
    """The user stopped the run; what was measured is in the file."""


class SynchronisationError(LabError):
    """The receiver's tags could not be aligned with the transmitter's code."""


class RecordError(LabError):
    """A recording that cannot be written, or cannot be trusted when read."""
