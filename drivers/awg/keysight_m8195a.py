"""Keysight M8195A: arbitrary waveform generator, used with four channels that play from extended memory.

Reference: Keysight M8195A Revision 2 Arbitrary Waveform Generator User's Guide, M8195-91040, edition 6. Amplitudes are
75 mV to 1 V. Assumed: offsets from -1 to 3.3 V (the model's data sheet).
"""

from drivers.awg.keysight_m819x import KeysightM819x
from drivers.awg.keysight_m819x_codec import CONTINUOUS, Segment
from drivers.awg.keysight_m8195a_codec import ARBITRARY, MEMORY, MEMORY_DIVIDER, FourChannels, Raster


class KeysightM8195A(KeysightM819x):
    """Four outputs, each of which plays at a quarter of the DAC's raster frequency."""

    MODEL = "Keysight M8195A"
    IDENTITY_CONTAINS = "M8195A"

    MEMORY = MEMORY
    RASTER = Raster
    DIVIDER = MEMORY_DIVIDER
    AMPLITUDE_RANGE_V = (0.075, 1.0)
    OFFSET_RANGE_V = (-1.0, 3.3)
    FOUR_CHANNELS = FourChannels.set()
    SHARED_SEGMENTS = True
    READY = (Segment.select(1), ARBITRARY, CONTINUOUS)

    def ask_divider(self) -> int:
        """By what the memory's mode divides the raster frequency at present; only the worker calls this."""
        return self.ask(FourChannels.get_divider())
