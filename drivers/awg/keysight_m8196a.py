"""Keysight M8196A: arbitrary waveform generator with four channels.

Reference: Keysight M8196A Arbitrary Waveform Generator User's Guide, edition 2.2, as public drivers use it. Assumed:
amplitudes from 0.1 to 1 V and offsets from -1 to 3.3 V (the data sheet), and that its run state is asked for as the
M8195A's is.
"""

from drivers.awg.keysight_m819x import KeysightM819x
from drivers.awg.keysight_m8196a_codec import FOUR_CHANNELS, MEMORY, Raster


class KeysightM8196A(KeysightM819x):
    """Four outputs, each of which plays its own segment at the DAC's raster frequency."""

    MODEL = "Keysight M8196A"
    IDENTITY_CONTAINS = "M8196A"

    MEMORY = MEMORY
    RASTER = Raster
    AMPLITUDE_RANGE_V = (0.1, 1.0)
    OFFSET_RANGE_V = (-1.0, 3.3)
    FOUR_CHANNELS = FOUR_CHANNELS
