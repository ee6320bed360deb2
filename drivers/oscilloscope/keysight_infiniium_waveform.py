"""What a Keysight Infiniium sends with and in a waveform: the preamble, and words that become volts.

Reference: Keysight Infiniium Oscilloscopes Programmer's Guide, chapter Waveform commands: the order of the preamble's
fields, and the words that stand for holes. Assumed: that preambles of later firmware append fields.
"""

import csv
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from qdci_lab.errors import LocalProtocolError, RemoteProtocolError
from qdci_lab.wire.scpi import integer, number, text

PREAMBLE_FIELDS = 24
PIECE_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Preamble:
    """The 24 values of `:WAVeform:PREamble?`: how words become volts and seconds, and where they come from.

    Word w of sample k is (w - y_reference) y_increment + y_origin, at x_origin + (k - x_reference) x_increment.
    `points` is the number of samples, `count` that of averages. `format` is 0 ASCII, 1 BYTE, 2 WORD, 3 LONG,
    4 LONGLONG; `type` is 1 for raw samples; `y_units` is 1 for volts. `frame` is the model and the serial number.
    """

    format: int
    type: int
    points: int
    count: int
    x_increment_s: float
    x_origin_s: float
    x_reference: float
    y_increment_v: float
    y_origin_v: float
    y_reference: float
    coupling: int
    x_display_range_s: float
    x_display_origin_s: float
    y_display_range_v: float
    y_display_origin_v: float
    date: str
    time: str
    frame: str
    acquisition_mode: int
    completion_percent: float
    x_units: int
    y_units: int
    max_bandwidth_hz: float
    min_bandwidth_hz: float

    @property
    def start_time_s(self) -> float:
        """When the first sample was taken, after the trigger."""
        return self.x_origin_s - self.x_reference * self.x_increment_s


@dataclass(frozen=True)
class WordFormat:
    """How samples are sent.

    `name` is the instrument's keyword, `code` its number in a preamble, `hole` the word where there is no sample.
    """

    name: str
    code: int
    bytes_per_sample: int
    hole: int

    def dtype(self, byte_order: str) -> np.dtype[np.signedinteger]:
        """Signed integers; `byte_order` is LSBF or MSBF."""
        if byte_order not in ("LSBF", "MSBF"):
            raise LocalProtocolError(f"byte order {byte_order!r}: must be LSBF or MSBF")
        return np.dtype(f"{'<' if byte_order == 'LSBF' else '>'}i{self.bytes_per_sample}")


WORD_FORMATS = {"BYTE": WordFormat("BYTE", 1, 1, 125), "WORD": WordFormat("WORD", 2, 2, 31232)}


def preamble(reply: bytes) -> Preamble:
    """The reply to `:WAVeform:PREamble?`; RemoteProtocolError where it has too few fields or others."""
    [fields] = csv.reader([text(reply)], skipinitialspace=True)
    if len(fields) < PREAMBLE_FIELDS:
        raise RemoteProtocolError(f"a preamble of {len(fields)} fields, not {PREAMBLE_FIELDS}: {reply!r}")
    field = (words.encode("ascii") for words in fields)

    def whole() -> int:
        return integer(next(field))

    def real() -> float:
        return number(next(field))

    def words() -> str:
        return text(next(field))

    return Preamble(
        format=whole(), type=whole(), points=whole(), count=whole(),
        x_increment_s=real(), x_origin_s=real(), x_reference=real(),
        y_increment_v=real(), y_origin_v=real(), y_reference=real(), coupling=whole(),
        x_display_range_s=real(), x_display_origin_s=real(), y_display_range_v=real(), y_display_origin_v=real(),
        date=words(), time=words(), frame=words(), acquisition_mode=whole(), completion_percent=real(),
        x_units=whole(), y_units=whole(), max_bandwidth_hz=real(), min_bandwidth_hz=real(),
    )  # fmt: skip


def volts(words: NDArray[np.signedinteger], form: Preamble, hole: int) -> NDArray[np.float64]:
    """Samples in V, of the same shape; not-a-number where the instrument left a hole."""
    values = np.multiply(words, form.y_increment_v, dtype=np.float64)
    values += form.y_origin_v - form.y_reference * form.y_increment_v
    holes = words == hole
    if holes.any():
        values[holes] = np.nan
    return values


@dataclass(frozen=True)
class Summary:
    """What a waveform comes to, its holes left out; not-a-number where nothing is left."""

    mean_v: float
    deviation_v: float
    peak_to_peak_v: float
    holes: int


def summarise(values: NDArray[np.float64]) -> Summary:
    """Mean, standard deviation, peak to peak and number of holes of samples in V."""
    mean_v = float(values.mean()) if len(values) else math.nan
    if not math.isnan(mean_v):
        return Summary(mean_v, _deviation(values, mean_v), float(values.max() - values.min()), 0)
    samples = values[~np.isnan(values)]
    holes = len(values) - len(samples)
    return (
        replace(summarise(samples), holes=holes)
        if len(samples)
        else Summary(math.nan, math.nan, math.nan, holes)
    )


def _deviation(values: NDArray[np.float64], mean: float) -> float:
    """Piece by piece, because a temporary array of millions of samples costs more than the sum itself."""
    total = 0.0
    for start in range(0, len(values), PIECE_SAMPLES):
        piece = values[start : start + PIECE_SAMPLES] - mean
        total += float(piece @ piece)
    return math.sqrt(total / len(values))
