"""What the benchmarks build of C, where there is a compiler."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

HERE = Path(__file__).parent
WINDOW_PS, BIN_PS, BINS_EACH_SIDE = 1_000, 100, 100
PERIOD_PS, GATE_PS = 10_000.0, 1_000.0


def build(source: str, folder: Path) -> Path:
    """A shared library of a C file at -O3 -march=native; the test is skipped without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to compare with")
    library = folder / f"{Path(source).stem}.so"
    flags = ["-O3", "-march=native", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, str(HERE / source), "-o", str(library), "-lm"], check=True)
    return library


def address(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


class PlainLoops:
    """The loops of plain_loops.c on one stream of tags."""

    def __init__(self, library: Path, symbols: NDArray[np.uint8]) -> None:
        self._c = ctypes.CDLL(str(library))
        for name in ("coincidences", "add_up", "part"):
            getattr(self._c, name).restype = ctypes.c_int64
        self._c.sifter_size.restype = ctypes.c_size_t
        self._c.sifter_outcomes.restype = ctypes.POINTER(ctypes.c_int64)
        self._symbols = np.ascontiguousarray(symbols)
        self._bit_of = np.zeros(256, np.uint8)
        self._bit_of[1:5] = [1, 2, 4, 8]
        self._delay_of = np.zeros(256, np.int64)
        self._kept: list[np.ndarray] = []

    def sift(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.int64]:
        state = np.zeros(self._c.sifter_size() // 8 + 1, np.int64)
        code = address(self._symbols), ctypes.c_int64(self._symbols.size)
        self._c.start(address(state), ctypes.c_double(PERIOD_PS), ctypes.c_double(GATE_PS))
        tables = address(self._bit_of), address(self._delay_of)
        self._c.sift(address(state), *_columns(times, channels), *tables, *code)
        self._c.finish(address(state), *code)
        return np.ctypeslib.as_array(self._c.sifter_outcomes(address(state)), (512,)).copy()

    def sift_singly(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.int64]:
        counts = np.zeros(128, np.int64)
        code = address(self._symbols), ctypes.c_int64(self._symbols.size)
        limits = ctypes.c_double(PERIOD_PS), ctypes.c_double(GATE_PS)
        self._c.sift_singly(
            *_columns(times, channels), address(self._bit_of), *code, *limits, address(counts)
        )
        return counts

    def coincidences(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> int:
        singles = np.zeros(256, np.int64)
        window = ctypes.c_int64(WINDOW_PS)
        return self._c.coincidences(*_columns(times, channels), 1, 2, window, address(singles))

    def correlate(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.int64]:
        pairs = np.zeros(2 * BINS_EACH_SIDE + 1, np.int64)
        self._c.correlate(*_columns(times, channels), 1, 2, *_bins(pairs), address(pairs))
        return pairs

    def correlate_parted(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.int64]:
        pairs = np.zeros(2 * BINS_EACH_SIDE + 1, np.int64)
        if not self._kept:
            self._kept = [np.empty(times.size, np.int64) for _ in range(2)]
        parted = []
        for channel, kept in zip((1, 2), self._kept, strict=True):
            count = self._c.part(*_columns(times, channels), channel, address(kept))
            parted += [address(kept), ctypes.c_int64(count)]
        self._c.correlate_parted(*parted, *_bins(pairs), address(pairs))
        return pairs

    def add_up(self, times: NDArray[np.int64], channels: NDArray[np.uint8]) -> int:
        return self._c.add_up(*_columns(times, channels))


def _columns(times: NDArray[np.int64], channels: NDArray[np.uint8]) -> tuple[object, ...]:
    return address(times), address(channels), ctypes.c_int64(times.size)


def _bins(pairs: NDArray[np.int64]) -> tuple[object, ...]:
    reach = BINS_EACH_SIDE * BIN_PS + BIN_PS // 2
    return ctypes.c_int64(BIN_PS), ctypes.c_int64(pairs.size), ctypes.c_int64(reach)
