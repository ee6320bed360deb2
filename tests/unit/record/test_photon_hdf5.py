"""Against the mandatory fields of the Photon-HDF5 format 0.5, as its documentation and phconvert's checks list them."""

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from bluesky import RunEngine

from qdci_lab.errors import RecordError
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.replay import verify

MANDATORY = {
    "/": ("acquisition_duration", "description", "format_name", "format_version"),
    "/photon_data": ("timestamps", "detectors", "timestamps_specs/timestamps_unit"),
    "/setup": ("num_pixels", "num_spots", "num_spectral_ch", "num_polarization_ch", "num_split_ch",
               "modulated_excitation", "lifetime", "excitation_alternated"),
    "/identity": ("format_name", "format_version", "format_url", "software", "software_version",
                  "creation_time"),
}  # fmt: skip


@pytest.fixture
def taken(engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Any], tag_points: Any) -> Any:
    """The tagger, and the file of a run of two points."""
    tagger = make_tagger(100, 50)
    engine(tag_points(tagger, 2))
    return tagger, recorder.path


def test_tags_are_read_by_the_names_of_photon_hdf5(taken: Any) -> None:
    tagger, path = taken
    times, channels = tagger.all_tags()
    with h5py.File(path) as opened:
        file: Any = opened
        assert [f"{group}/{name}" for group, names in MANDATORY.items() for name in names
                if name not in file[group]] == []  # fmt: skip
        unit_s = file["photon_data/timestamps_specs/timestamps_unit"][()]
        assert np.allclose(file["photon_data/timestamps"][:] * unit_s, times * 1e-12, rtol=1e-15)
        assert np.array_equal(file["photon_data/detectors"][:], channels)
        assert file["acquisition_duration"][()] == pytest.approx((times[-1] - times[0]) * 1e-12)
        inputs, counts = np.unique(channels, return_counts=True)
        assert file["setup/detectors/id"][:].tolist() == inputs.tolist()
        assert file["setup/detectors/counts"][:].tolist() == counts.tolist()
        assert file["setup/num_pixels"][()] == len(inputs)
        assert file["identity/format_name"][()] == b"Photon-HDF5"


def test_nothing_is_stored_twice(taken: Any) -> None:
    _, path = taken
    with h5py.File(path) as file:
        assert file["photon_data/timestamps"] == file["entry/tags/time"]
        assert file["photon_data/detectors"] == file["entry/tags/channel"]


def test_a_name_that_was_put_on_other_data_is_noticed(taken: Any) -> None:
    _, path = taken
    verify(path)
    with h5py.File(path, "r+") as file:
        del file["photon_data/timestamps"]
        file["photon_data/timestamps"] = np.asarray(file["entry/tags/time"]) + 1
    with pytest.raises(RecordError, match="is not as it was recorded: /photon_data/timestamps"):
        verify(path)


def test_a_run_without_tags_has_no_photons(
    engine: RunEngine, recorder: Recorder, make_tagger: Callable[..., Any], tag_points: Any
) -> None:
    engine(tag_points(make_tagger(10, kept=False), 1))
    assert recorder.path is not None
    with h5py.File(recorder.path) as file:
        assert list(file) == ["entry"]
