"""What an Infiniium remembers, with the values that *RST gives.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide. Ranges are those of a 33 GHz, 80 GSa/s model of the
Z-Series. All *RST values are assumed: channel 1 shown at 100 mV and 100 ns a division, free running in AUTO sweep,
edge trigger on channel 1 at 0 V, waveforms as big-endian bytes of channel 1, streaming and headers off.
"""

from dataclasses import dataclass, field

from sim_devices.firmware.scpi_errors import HEADER_SUFFIX_OUT_OF_RANGE, ILLEGAL_PARAMETER_VALUE, ScpiError
from sim_devices.firmware.scpi_message import plain_text
from sim_devices.firmware.scpi_tree import Request
from sim_devices.firmware.scpi_values import Limits

CHANNELS = (1, 2, 3, 4)
DIVISIONS = 8
TIME_DIVISIONS = 10
RANGE_V = Limits(8e-3, 8.0, 0.8)
SCALE_V = Limits(1e-3, 1.0, 0.1)
OFFSET_V = Limits(-8.0, 8.0, 0.0)
LEVEL_V = Limits(-8.0, 8.0, 0.0)
TIME_RANGE_S = Limits(50e-12, 200.0, 1e-6)
TIME_SCALE_S = Limits(5e-12, 20.0, 100e-9)
POSITION_S = Limits(-200.0, 200.0, 0.0)
BANDWIDTH_HZ = Limits(1e9, 33e9, 33e9)
SAMPLE_RATE_HZ = Limits(1e3, 80e9, 80e9)
AVERAGES = Limits(2, 65_534, 16)
SEGMENTS = Limits(2, 65_536, 2)
HOLDOFF_S = Limits(100e-9, 10.0, 100e-9)


@dataclass
class ChannelSetup:
    """One vertical channel."""

    shown: bool = False
    range_v: float = RANGE_V.default
    offset_v: float = 0.0
    coupling: str = "DC50"
    limited: bool = False
    differential: bool = False
    inverted: bool = False
    label: str = ""
    units: str = "VOLT"
    attenuation: float = 1.0
    trigger_level_v: float = 0.0

    @property
    def scale_v(self) -> float:
        """Volts a division."""
        return self.range_v / DIVISIONS

    @scale_v.setter
    def scale_v(self, volts: float) -> None:
        self.range_v = volts * DIVISIONS


@dataclass
class AcquireSetup:
    """Sampling; None stands for what the instrument chooses by itself."""

    mode: str = "RTIM"
    points: int | None = None
    rate_hz: float | None = None
    bandwidth_hz: float | None = None
    averaging: bool = False
    averages: int = round(AVERAGES.default)
    interpolation: str = "0"
    complete_percent: float = 90.0
    complete: bool = True
    segments: int = round(SEGMENTS.default)
    segment: int = 1


@dataclass
class TimebaseSetup:
    """The horizontal axis; time zero is the trigger."""

    range_s: float = TIME_RANGE_S.default
    position_s: float = 0.0
    reference: str = "CENT"
    view: str = "MAIN"
    roll: bool = False

    @property
    def scale_s(self) -> float:
        """Seconds a division."""
        return self.range_s / TIME_DIVISIONS

    @scale_s.setter
    def scale_s(self, seconds: float) -> None:
        self.range_s = seconds * TIME_DIVISIONS

    @property
    def before_trigger(self) -> float:
        """Fraction of a record that lies before the reference point."""
        return {"LEFT": 0.0, "CENT": 0.5, "RIGH": 1.0}[self.reference]


@dataclass
class TriggerSetup:
    """The edge trigger."""

    mode: str = "EDGE"
    sweep: str = "AUTO"
    source: str = "CHAN1"
    slope: str = "POS"
    coupling: str = "DC"
    holdoff_s: float = HOLDOFF_S.default
    aux_level_v: float = 0.0


@dataclass
class WaveformSetup:
    """How and what :WAVeform:DATA? transfers."""

    format: str = "BYTE"
    byte_order: str = "MSBF"
    streaming: bool = False
    source: str = "CHAN1"
    view: str = "ALL"


@dataclass
class Setup:
    """The whole instrument."""

    channels: dict[int, ChannelSetup] = field(
        default_factory=lambda: {channel: ChannelSetup(shown=channel == 1) for channel in CHANNELS}
    )
    acquire: AcquireSetup = field(default_factory=AcquireSetup)
    timebase: TimebaseSetup = field(default_factory=TimebaseSetup)
    trigger: TriggerSetup = field(default_factory=TriggerSetup)
    waveform: WaveformSetup = field(default_factory=WaveformSetup)
    measure_source: str = "CHAN1"


def channel_number(request: Request) -> int:
    """The channel of a :CHANnel<n> header; -114 unless it is 1 to 4."""
    channel = request.suffixes["n"]
    if channel not in CHANNELS:
        raise ScpiError(HEADER_SUFFIX_OUT_OF_RANGE)
    return channel


def source(token: bytes, others: tuple[str, ...] = ()) -> str:
    """The short name of a channel or of one of `others` such as "FUNCtion<4>"; -224 for another word."""
    text = plain_text(token).upper()
    for pattern in ("CHANnel<4>", *others):
        name, _, highest = pattern.removesuffix(">").partition("<")
        short = "".join(letter for letter in name if not letter.islower())
        numbers = [str(number) for number in range(1, int(highest) + 1)] if highest else [""]
        for number in numbers:
            if text in (short + number, name.upper() + number):
                return short + number
    raise ScpiError(ILLEGAL_PARAMETER_VALUE)


def channel_of(name: str) -> int | None:
    """The number of a channel's short name, None for another source."""
    return int(name[4:]) if name.startswith("CHAN") else None


def nr3(value: float) -> str:
    """Numbers as this family prints them: twelve digits in exponential form."""
    return f"{value + 0.0:.11E}"
