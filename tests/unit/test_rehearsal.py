"""The dry run and what every experiment is wrapped in: real signals, instruments that are only remembered."""

import contextlib

import bluesky.plan_stubs as bps
import pytest
from bluesky import RunEngine
from ophyd.utils import LimitError

from plans.preprocessors import experiment
from plans.stubs import Findings
from qdci_lab.baseline import Baseline
from qdci_lab.device import LabDevice
from qdci_lab.rehearsal import rehearse
from qdci_lab.signals import controlled, measured
from qdci_lab.units import format_duration


class Attenuator(LabDevice):
    """Keeps its setting in memory."""

    MODEL = "attenuator of a test"
    attenuation = controlled(
        lambda device: device.setting_db,
        lambda device, value: setattr(device, "setting_db", float(value)),
        "dB",
        limits=(0.0, 45.0),
    )
    reading = measured(lambda device: device.measure(), "1")

    def __init__(self, **kwargs):
        self.setting_db = 3.0
        self.measured = self.made_safe = 0
        super().__init__("", **kwargs)

    def measure(self):
        self.measured += 1
        return float(self.measured)

    def enter_safe_state(self):
        self.made_safe += 1

    def expected_s(self, planned):
        return 10.0 * float(planned.get(self.attenuation.name, 0.0))


@pytest.fixture
def voa():
    device = Attenuator(name="voa")
    device.connect()
    return device


def sweep(voa, values_db, error=None):
    found = Findings("found")

    def steps():
        for value_db in values_db:
            yield from bps.mv(voa.attenuation, value_db)
            yield from bps.trigger(voa, wait=True)
            yield from bps.sleep(1.5)
            yield from found.record({"number": (value_db, "dB")})
        if error is not None:
            raise error

    return experiment(steps(), [voa], {"plan_name": "sweep"}, moved=(voa.attenuation,))


def test_a_rehearsal_counts_and_estimates_and_moves_nothing(voa):
    before = voa.measured
    rehearsal = rehearse(sweep(voa, [1.0, 5.0]))
    assert (rehearsal.points, rehearsal.acquisitions) == (2, 2)
    assert rehearsal.lab_time_s == pytest.approx(10.0 + 50.0 + 2 * 1.5)
    assert (voa.setting_db, voa.measured, voa.made_safe) == (3.0, before, 0)
    assert "1.1 min" in str(rehearsal)


def test_a_rehearsal_refuses_what_the_third_point_would(voa):
    with pytest.raises(LimitError, match=r"voa_attenuation: 60 dB.*45 dB"):
        rehearse(sweep(voa, [1.0, 5.0, 60.0]))
    assert voa.setting_db == 3.0


def test_an_experiment_brings_back_what_it_moved(voa):
    RunEngine({})(sweep(voa, [7.0]))
    assert (voa.setting_db, voa.made_safe) == (3.0, 1)


def test_a_failed_experiment_does_so_as_well(voa):
    with pytest.raises(RuntimeError, match="broken"):
        RunEngine({})(sweep(voa, [7.0], RuntimeError("broken")))
    assert voa.setting_db == 3.0
    assert voa.made_safe >= 1


@pytest.mark.parametrize(("error", "measured"), [(None, 3), (RuntimeError("broken"), 2)])
def test_runs_begin_and_end_with_a_baseline_which_measures_nothing_anew_after_a_failure(voa, error, measured):
    documents = []
    engine = RunEngine({})
    engine.preprocessors.append(Baseline(baseline=[voa]))
    engine.subscribe(lambda name, document: documents.append((name, document)))
    before = voa.measured
    with contextlib.nullcontext() if error is None else pytest.raises(RuntimeError, match="broken"):
        engine(sweep(voa, [7.0], error))
    streams = {document["uid"]: document["name"] for name, document in documents if name == "descriptor"}
    events = [streams[document["descriptor"]] for name, document in documents if name == "event"]
    assert events == ["baseline", "primary", "baseline"]
    assert voa.measured - before == measured


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.25, "0.25 s"), (59.0, "59 s"), (90.0, "1.5 min"), (5400.0, "1.5 h"), (864e3, "10.0 d")],
)
def test_durations_are_said_as_people_do(seconds, said):
    assert format_duration(seconds) == said
