"""The recorded time tags under the names of Photon-HDF5, so that programs of that community open the same file.

Reference: Photon-HDF5 format definition 0.5 (photon-hdf5.readthedocs.io), mandatory fields of /, photon_data, setup and
identity. Columns are links, nothing is stored twice. What the format asks of a fluorescence experiment and a link for
key distribution lacks (spots, spectra, alternated excitation) is one or none; each input is a detector behind a split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import h5py
import numpy as np

from qdci_lab.record.survey import Survey
from qdci_lab.record.time_tags import TagBlock

VERSION = "0.5"
_SECONDS_A_TICK = 1e-12


@dataclass
class TagTotals:
    """What a stream of tags comes to: clicks of each input, first and last time in ps."""

    group: h5py.Group
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    first_ps: int | None = None
    last_ps: int = 0

    def add(self, block: TagBlock) -> None:
        """Count a block."""
        times, channels = block
        self.counts += np.bincount(channels, minlength=256)
        self.first_ps = int(times[0]) if self.first_ps is None else self.first_ps
        self.last_ps = int(times[-1])

    @property
    def duration_s(self) -> float:
        """From the first tag to the last."""
        return 0.0 if self.first_ps is None else (self.last_ps - self.first_ps) * _SECONDS_A_TICK


def write_photon_links(file: h5py.File, survey: Survey, streams: Sequence[TagTotals]) -> None:
    """Groups photon_data, setup and identity for the streams of tags in a file; none if there are none."""
    if not streams:
        return
    for number, totals in enumerate(streams):
        _write_photons(
            file.create_group(f"photon_data{number}" if len(streams) > 1 else "photon_data"), totals
        )
    _write_setup(file.create_group("setup"), np.sum([totals.counts for totals in streams], axis=0))
    _write_identity(file, survey)
    file["acquisition_duration"] = max(totals.duration_s for totals in streams)
    words = [str(survey.start[key]) for key in ("plan_name", "uid") if key in survey.start]
    _put_text(file, "description", " ".join(words))


def _write_photons(group: h5py.Group, totals: TagTotals) -> None:
    """Hard links, because PyTables gives a soft one no attributes, which readers of the format ask for."""
    group["timestamps"] = totals.group["time"]
    group["detectors"] = totals.group["channel"]
    group.create_group("timestamps_specs")["timestamps_unit"] = _SECONDS_A_TICK


def _write_setup(group: h5py.Group, counts: np.ndarray) -> None:
    inputs = np.flatnonzero(counts)
    for name in ("num_spots", "num_spectral_ch", "num_polarization_ch"):
        group[name] = 1
    for name in ("num_pixels", "num_split_ch"):
        group[name] = max(1, len(inputs))
    for name in ("modulated_excitation", "lifetime"):
        group[name] = 0
    group["excitation_alternated"] = np.zeros(1, np.uint8)
    detectors = group.create_group("detectors")
    detectors["id"] = inputs.astype(np.uint8)
    detectors["counts"] = counts[inputs]


def _write_identity(file: h5py.File, survey: Survey) -> None:
    group = file.create_group("identity")
    for place in (file, group):
        _put_text(place, "format_name", "Photon-HDF5")
        _put_text(place, "format_version", VERSION)
    _put_text(group, "format_url", "http://photon-hdf5.org/")
    _put_text(group, "software", "qdci_lab")
    packages = survey.start.get("packages", {})
    _put_text(group, "software_version", str(packages.get("qdci-lab", "unknown")))
    when = datetime.fromtimestamp(survey.start["time"], UTC)
    _put_text(group, "creation_time", f"{when:%Y-%m-%d %H:%M:%S}")


def _put_text(group: h5py.Group, name: str, text: str) -> None:
    """Of fixed length, as the format has it."""
    group[name] = np.bytes_(text.encode())
