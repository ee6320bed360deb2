import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from qdci_lab.record.steady_file import SteadyFile

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing_after(calls: int) -> Callable[..., Any]:
    """`os.write` that takes so many calls, then half of one, then nothing."""
    real, count = os.write, 0

    def write(descriptor: int, data: Any) -> int:
        nonlocal count
        count += 1
        if count == calls + 1 and len(data) > 1:
            return real(descriptor, data[: len(data) // 2])
        if count > calls:
            raise FULL
        return real(descriptor, data)

    return write


# A step is a place and bytes to write there, or a size to cut the file to.
steps = st.lists(
    st.one_of(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=40)), st.integers(0, 80)),
    max_size=12,
)


@given(steps, st.integers(0, 6), st.integers(0, 80), st.integers(0, 80))
def test_it_reads_as_if_the_disk_had_taken_all(
    tmp_path_factory: pytest.TempPathFactory, done: list, good_calls: int, start: int, size: int
) -> None:
    """Against a plain bytearray; the disk fills at any call, in the midst of a write."""
    file, expected = SteadyFile(tmp_path_factory.mktemp("steady") / "a"), bytearray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", failing_after(good_calls))
        for step in done:
            if isinstance(step, int):
                file.truncate(step)
                expected = expected[:step].ljust(step, b"\0")
            else:
                place, data = step
                file.seek(place)
                assert file.write(data) == len(data)
                expected = expected.ljust(place, b"\0")
                expected[place : place + len(data)] = data
        file.seek(start)
        found = bytearray(size)
        count = file.readinto(found)
    assert found[:count] == expected[start : start + size]
    assert file.seek(0, os.SEEK_END) == len(expected)
    file.close()


def test_the_first_failure_is_kept_and_nothing_more_reaches_the_disk(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    file = SteadyFile(tmp_path / "a")
    file.write(b"good")
    file.check()
    mocker.patch("os.write", side_effect=FULL)
    file.write(b"lost")
    mocker.stopall()
    file.write(b"also lost")
    for refused in (file.check, file.sync):
        with pytest.raises(OSError, match="No space left") as caught:
            refused()
        assert caught.value is file.failure
    file.close()
    file.close()
    assert (tmp_path / "a").read_bytes() == b"good"


@pytest.mark.parametrize("good_calls", [0, 1, 2, 3])
def test_hdf5_closes_in_peace_on_a_full_disk(tmp_path: Path, mocker: MockerFixture, good_calls: int) -> None:
    """Without it HDF5 2.0 would end this process."""
    steady = SteadyFile(tmp_path / "a.h5")
    mocker.patch("os.write", failing_after(good_calls))
    with h5py.File(steady, "w") as file:
        file["numbers"] = np.arange(100_000)
        file.flush()
        numbers: Any = file["numbers"]
        assert numbers[-1] == 99_999
    mocker.stopall()
    assert steady.failure is FULL
    steady.close()
