"""What links and plans expect of a variable attenuator of any model, with a shutter or without."""

from typing import Any, Protocol

from qdci_lab.signals import ControlledSignal

Settings = tuple[tuple[ControlledSignal, Any], ...]
"""What is set to what, in this order."""


class Attenuator(Protocol):
    """An attenuation in dB, and how to let light pass or keep it away, which models do by different means."""

    attenuation: ControlledSignal

    def passing(self) -> Settings:
        """What must be set for light to pass at the attenuation that is set."""
        ...

    def blocking(self) -> Settings:
        """What must be set for as little light to pass as the model can do."""
        ...
