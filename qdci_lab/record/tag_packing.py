"""The compiled loops that pack time tags into as few bits as they need, and back.

A tag is one number: its distance from the tag before (ps, modulo 2**64), shifted up by `channel_bits`, plus its channel
counted from the lowest one. Each group of `GROUP` numbers gets as many bits a number as its largest needs, which stands
in `widths`; a group with a number of more than 64 bits takes `WIDE`, 64 for the distance and 8 for the channel. The
numbers follow each other without a gap, the lowest bit first, in words of 64 bits. Only this module needs numba.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

GROUP = 32
WIDE = 72

_ONE, _TWO, _SIX, _BYTE, _LAST, _WORD = (np.uint64(number) for number in (1, 2, 6, 8, 63, 64))


def widths_of(tags: int) -> int:
    """How many widths that many tags have."""
    return -(-tags // GROUP)


def words_for(tags: int) -> int:
    """Words that that many tags take at most; a last one is for those who look a word ahead."""
    return -(-widths_of(tags) * GROUP * WIDE // 64) + 1


def prepare() -> None:
    """Compile the loop that packs, or load what was compiled earlier, before tags come that would have to wait."""
    tags, room = np.zeros(1, np.int64), np.zeros(GROUP + 1, np.uint64)
    pack(tags, tags.astype(np.uint8), 0, 0, room, np.zeros(1, np.uint8), np.zeros(words_for(1), np.uint64))


@njit(cache=True, nogil=True)
def pack(
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
    lowest_channel: int,
    channel_bits: int,
    numbers: NDArray[np.uint64],
    widths: NDArray[np.uint8],
    words: NDArray[np.uint64],
) -> int:
    """Fill widths and words; how many words it took. `numbers` is working memory for all tags and a group more.

    The first tag has no distance. In several passes, because the compiler vectorises all but the last.
    """
    _measure(times, channel_bits, numbers, widths)
    shift, lowest = np.uint64(channel_bits), np.uint64(lowest_channel)
    for index in range(len(times)):
        numbers[index] = (numbers[index] << shift) | (np.uint64(channels[index]) - lowest)
    word, filled, place = np.uint64(0), np.uint64(0), np.uint64(0)
    for group in range(len(widths)):
        if widths[group] <= 64:
            word, filled, place = _push_group(group, widths[group], numbers, word, filled, place, words)
            continue
        for index in range(group * GROUP, min(group * GROUP + GROUP, len(times))):
            step = np.uint64(times[index] - times[index - 1]) if index else np.uint64(0)
            word, filled, place = _push(step, _WORD, word, filled, place, words)
            channel = np.uint64(channels[index]) - lowest
            word, filled, place = _push(channel, _BYTE, word, filled, place, words)
    words[place] = word
    return int(place) + (1 if filled else 0)


@njit(cache=True, nogil=True)
def unpack(
    words: NDArray[np.uint64],
    widths: NDArray[np.uint8],
    lowest_channel: int,
    channel_bits: int,
    base_ps: int,
    times: NDArray[np.int64],
    channels: NDArray[np.uint8],
) -> None:
    """Fill times and channels with as many tags as they have room for; `words` has one word more than was filled."""
    shift, lowest = np.uint64(channel_bits), np.uint64(lowest_channel)
    channel_mask = (_ONE << shift) - _ONE
    bit, time, index, tags = np.uint64(0), np.uint64(base_ps), np.uint64(0), np.uint64(len(times))
    for group in range(len(widths)):
        width = np.uint64(widths[group])
        stop = min(index + np.uint64(GROUP), tags)
        if width == WIDE:
            while index < stop:
                time += _bits_at(words, bit)
                times[index] = np.int64(time)
                channels[index] = np.uint8(_bits_at(words, bit + _WORD) + lowest)
                bit += width
                index += _ONE
        else:
            mask = ~np.uint64(0) >> (_WORD - width) if width else np.uint64(0)
            while index < stop:
                number = _bits_at(words, bit) & mask
                time += number >> shift
                times[index] = np.int64(time)
                channels[index] = np.uint8((number & channel_mask) + lowest)
                bit += width
                index += _ONE


@njit(cache=True, nogil=True)
def _measure(
    times: NDArray[np.int64], channel_bits: int, numbers: NDArray[np.uint64], widths: NDArray[np.uint8]
) -> None:
    """The distances, zeros behind them to the end of the last group, and the widths."""
    numbers[0] = np.uint64(0)
    for index in range(1, len(times)):
        numbers[index] = np.uint64(times[index] - times[index - 1])
    numbers[len(times) : len(widths) * GROUP] = np.uint64(0)
    for group in range(len(widths)):
        found = np.uint64(0)
        for index in range(group * GROUP, group * GROUP + GROUP):
            found |= numbers[index]
        width = _bits(found) + channel_bits
        widths[group] = width if width <= 64 else WIDE


@njit(cache=True, nogil=True, inline="always")
def _push_group(
    group: int,
    bits: int,
    numbers: NDArray[np.uint64],
    word: np.uint64,
    filled: np.uint64,
    place: np.uint64,
    words: NDArray[np.uint64],
) -> tuple[np.uint64, np.uint64, np.uint64]:
    """A group's numbers; two at a time, as long as two fit into a word."""
    width, number = np.uint64(bits), np.uint64(group * GROUP)
    if width <= 32:
        for _ in range(GROUP // 2):
            pair = numbers[number] | (numbers[number + _ONE] << width)
            word, filled, place = _push(pair, width + width, word, filled, place, words)
            number += _TWO
    else:
        for _ in range(GROUP):
            word, filled, place = _push(numbers[number], width, word, filled, place, words)
            number += _ONE
    return word, filled, place


@njit(cache=True, nogil=True, inline="always")
def _bits(value: np.uint64) -> int:
    """Bits that the value needs; for values just below a power of two above 2**53 one more than that."""
    return math.frexp(np.float64(value))[1]


@njit(cache=True, nogil=True, inline="always")
def _push(
    value: np.uint64,
    width: np.uint64,
    word: np.uint64,
    filled: np.uint64,
    place: np.uint64,
    words: NDArray[np.uint64],
) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Append the `width` bits of a value; the word that is being filled, how many bits it has, and where it goes.

    Without a branch, which the processor could not foresee. Places are unsigned, because for signed ones the compiler
    adds a test for negative values.
    """
    word |= value << filled
    words[place] = word
    over = (value >> _ONE) >> (_LAST - filled)
    filled += width
    full = filled >> _SIX
    mask = np.uint64(0) - full
    return (word & ~mask) | (over & mask), filled & _LAST, place + full


@njit(cache=True, nogil=True, inline="always")
def _bits_at(words: NDArray[np.uint64], bit: np.uint64) -> np.uint64:
    """The 64 bits from this one on."""
    place, offset = bit >> _SIX, bit & _LAST
    return (words[place] >> offset) | ((words[place + _ONE] << _ONE) << (_LAST - offset))
