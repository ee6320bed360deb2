"""Messages of the Keysight M8195A arbitrary waveform generator with four channels played from extended memory.

Reference: Keysight M8195A Revision 2 Arbitrary Waveform Generator User's Guide, M8195-91040, edition 6 (March 2017),
chapter 6: 6.9 function, 6.11 instrument, 6.14 sampling frequency, 6.21 trace. Segments are from 1280 samples on, in
steps of 256; the sample clock is 53.76 to 65 GHz.
"""

from drivers.awg.keysight_m819x_codec import CHANNELS, RasterClock, SampleMemory
from qdci_lab.errors import RemoteProtocolError
from qdci_lab.wire.message import Command, Query
from qdci_lab.wire.scpi import text

MEMORY = SampleMemory(granularity=256, min_length=1280)
MEMORY_DIVIDER = 4

ARBITRARY = Command.text(":FUNC:MODE ARB")


def divider(reply: bytes) -> int:
    """The number in a divider's reply, DIV1, DIV2 or DIV4."""
    word = text(reply).upper()
    if word not in ("DIV1", "DIV2", "DIV4"):
        raise RemoteProtocolError(f"not a divider: {reply!r}")
    return int(word[-1])


class FourChannels:
    """:INSTrument:DACMode, :TRACe[n]:MMODe, :INSTrument:MEMory:EXTended:RDIVider.

    The modes depend on each other, so that the guide wants them in one message.
    """

    @staticmethod
    def set() -> Command:
        memory = ";".join(f":TRAC{channel}:MMOD EXT" for channel in CHANNELS)
        return Command.text(f":INST:DACM FOUR;{memory};:INST:MEM:EXT:RDIV DIV{MEMORY_DIVIDER}")

    @staticmethod
    def get_divider() -> Query[int]:
        return Query.text(":INST:MEM:EXT:RDIV?", divider)


class Raster(RasterClock):
    """:FREQuency:RASTer: from extended memory a channel plays at a fraction of it."""

    RANGE_HZ = (53.76e9, 65e9)
