"""Messages of the Keysight M8196A arbitrary waveform generator with four channels.

Reference: Keysight M8196A Arbitrary Waveform Generator User's Guide, edition 2.2, as public drivers use it: each
channel has one segment of its own, of 128 to 524 288 samples in steps of 128, and no sequencer. Assumed, from the data
sheet: a sample clock of 82.24 to 93.4 GHz.
"""

from drivers.awg.keysight_m819x_codec import RasterClock, SampleMemory
from qdci_lab.wire.message import Command

MEMORY = SampleMemory(granularity=128, min_length=128, max_length=524_288)
FOUR_CHANNELS = Command.text(":INST:DACM FOUR")


class Raster(RasterClock):
    """:FREQuency:RASTer: the rate at which every channel plays."""

    RANGE_HZ = (82.24e9, 93.4e9)
