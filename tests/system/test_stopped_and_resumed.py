"""Every plan stopped by Ctrl-C at a random moment: it answers at once, leaves the bench safe, and can be resumed.

The moment is drawn from a fixed seed: after so many complete points, and a fraction of a second later.
"""

import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from qdci_lab.errors import Interrupted, RecordError
from qdci_lab.experiment import resume_experiment, run_stoppable
from qdci_lab.record.parts import JoinedRun, complete_points
from qdci_lab.record.replay import Run
from qdci_lab.rehearsal import rehearse
from qdci_lab.report import report_of
from qdci_lab.session import find_plans, open_session
from qdci_lab.sweep import resumed

CONFIGS = Path(__file__).parents[2] / "configs"
LONGEST_DELAY_S = 0.2
ANSWER_S = 0.5
SAFE_AT_ZERO = ("shutter_open", "emission", "running", "output")
JI, CLASON, QIU, WU = "ji_mcf", "clason_trusted_node", "qiu_cow_dci", "wu_laquila"
CAMPAIGN = {
    "currents_ma": [0.0, 45.0],
    "blocks": 2,
    "block_detections": 1e5,
    "max_block_s": 60.0,
    "duration_h": 0.1,
}
SHORT = {
    "skr_vs_launch_power": (JI, {"launch_powers_dbm": [-10.0, 0.0, 12.0], "detections": 1e5, "align": False}),
    "skr_vs_distance": (JI, {"distances_km": [3.5, 50.0, 60.0], "detections": 5e4, "align": False}),
    "characterise_cores": (JI, {"averaging_s": 0.02, "count_s": 0.1}),
    "dark_counts_vs_launch_power": (JI, {"launch_powers_dbm": [0.0, 9.0], "cores": [2, 4], "duration_s": 2.0}),
    "calibrate_delays": (JI, {"clicks": 1e5}),
    "calibrate_mean_photon_number": (JI, {"attenuations_db": [0.0, 5.0], "readings": 2, "averaging_s": 0.05}),
    "scan_gate": (
        JI, {"gate_widths_ps": [250.0, 600.0, 2000.0, 7000.0], "duration_s": 0.1, "align": False}
    ),
    "attenuation_sweep": (QIU, {"added_losses_db": [0.0, 3.0, 10.0], "detections": 1e4}),
    "stability": (QIU, {"hours": 1.0, "every_s": 600.0, "block_s": 1.0}),
    "core_switching": (CLASON, CAMPAIGN),
    "accumulate_key": (CLASON, CAMPAIGN),
    "detector_comparison": (
        CLASON, {"blocks": 2, "block_detections": 2e4, "max_block_s": 60.0, "dark_s": 2.0, "align": False}
    ),
    "allocation_scan": (
        WU, {"cores": [1, 3], "launch_powers_dbm": [8.0, 19.5], "detections": 2e4, "align": False}
    ),
    "error_budget": (JI, {"detections": 1e5, "background_s": 1.0, "clicks": 6e5, "align": False}),
    "sync_pulse_width": (JI, {"records": 2, "pulses": 20}),
}  # fmt: skip
GOES_BY_THE_CLOCK = {"core_switching", "accumulate_key"}
"""How many points they have is known in the end."""
CLOCKED = {
    "stability": ("gaps", "gap_reason", 3600.0),
    "core_switching": ("interruptions", "step_reason", 360.0),
    "accumulate_key": ("interruptions", "step_reason", 360.0),
}
"""Stream and key of the note about a pause, and what is to be measured in all, in s."""
LEFT_OUT = {"align_polarization"}
"""A search, which begins again."""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """A bench for each testbed, opened when it is first asked for."""
    opened = {}

    def session_on(testbed):
        if testbed not in opened:
            opened[testbed] = open_session(
                CONFIGS / testbed, addresses="sim.toml", directory=tmp_path_factory.mktemp(testbed), seed=1
            )
            opened[testbed].connect()
        return opened[testbed]

    yield session_on
    for session in opened.values():
        session.close()


class Stopwatch:
    """Presses Ctrl-C so many points and seconds into a run, and sees how long the RunEngine takes to leave off.

    A next point that takes less is not waited for: then the moment is the one at which it is nearly complete.
    """

    def __init__(self, engine, points, delay_s):
        self._points = points
        self._timer = threading.Timer(delay_s, self._press)
        self._sweep = None
        self._once = threading.Lock()
        self.pressed_s = self.answered_s = None
        engine.subscribe(self)
        engine.state_hook = self._see
        engine.msg_hook = self._hurry

    def __call__(self, name, document):
        if name == "descriptor" and document["name"] == "sweep":
            self._sweep = document["uid"]
        done = name == "event" and document["descriptor"] == self._sweep and document["seq_num"]
        if self._timer.ident is None and (done or name == "start") and (done or 0) >= self._points:
            self._timer.start()

    def _hurry(self, message):
        if self._timer.ident and message.command == "create" and message.kwargs.get("name") == "sweep":
            self._press()

    def _press(self):
        if self._once.acquire(blocking=False):
            self.pressed_s = time.monotonic()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def put_away(self):
        """Presses no more."""
        self._once.acquire(blocking=False)
        self._timer.cancel()

    def _see(self, new, _old):
        if self.pressed_s and new != "running" and self.answered_s is None:
            self.answered_s = time.monotonic()


def stopped(session, plan, chance, *, after):
    """The file of a run that was stopped soon after so many points, and how long the answer took."""
    engine, recorder = session.run_engine()
    watch = Stopwatch(engine, after, float(chance.uniform(0.0, LONGEST_DELAY_S)))
    try:
        with pytest.raises(Interrupted, match="stopped by the user"):
            run_stoppable(engine, plan)
    finally:
        watch.put_away()
    recorder.wait()
    return Run(recorder.path), watch.answered_s - watch.pressed_s


def unsafe(session):
    """What every device says of itself, over its own wire, that it should not."""
    return {
        signal_.name: value
        for device in session.devices.values()
        for signal_ in device.quantities()
        if signal_.attr_name in SAFE_AT_ZERO and (value := signal_.get())
    }


def test_every_plan_is_stopped_here():
    assert set(SHORT) | LEFT_OUT == set(find_plans())
    of_sweeps = {name for name in find_plans() if not report_of(name).anew}
    assert set(SHORT) <= of_sweeps


def check_the_pause(joined, stream, key, budget_s):
    """What a run that goes by the clock says of its pause, and how long it has measured in all."""
    last = joined.parts[-1]
    note = next(str(event["data"][key]) for event in last.events(stream))
    assert note.startswith("resumed after point ")
    assert joined.parts[0].path.name in note
    assert "began anew with the simulated bench" in note
    elapsed_s = joined.table()["campaign_elapsed"]
    assert np.all(np.diff(elapsed_s) > 0.0)
    assert 0.8 * budget_s < elapsed_s[-1] < 1.6 * budget_s


@pytest.mark.parametrize("name", SHORT)
def test_a_plan_that_is_stopped_answers_leaves_the_bench_safe_and_goes_on(name, sessions, console):
    testbed, arguments = SHORT[name]
    session, plan = sessions(testbed), find_plans()[name]
    chance = np.random.default_rng(list(name.encode()))
    points = rehearse(plan(session.link, **arguments)).points
    after = 1 if name in GOES_BY_THE_CLOCK else int(chance.integers(1, points))
    first, answer_s = stopped(session, plan(session.link, **arguments), chance, after=after)
    assert answer_s < ANSWER_S
    assert unsafe(session) == {}
    done = complete_points(first)
    assert first.stop["exit_status"] != "success" or len(done) == points
    if len(done) == points:  # stopped while the bench was made safe
        with pytest.raises(RecordError, match=f"all {points} points are recorded"):
            resume_experiment(first.path, console=console)
        return
    engine, recorder = session.run_engine()
    engine(resumed(plan(session.link, **arguments), first))
    recorder.wait()
    joined = JoinedRun(recorder.path)
    numbers = joined.table()["sweep_point"].tolist()
    assert sorted(set(numbers)) == numbers
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= points or name in GOES_BY_THE_CLOCK
    if name in CLOCKED:
        check_the_pause(joined, *CLOCKED[name])
    report_of(name).draw(joined, recorder.path.with_suffix(".png"))


def test_an_alignment_is_stopped_and_begins_again(sessions, console):
    session = sessions(JI)
    plan = find_plans()["align_polarization"](session.link, tracking_s=60.0, detections=2e3)
    first, answer_s = stopped(session, plan, np.random.default_rng(1), after=0)
    assert answer_s < ANSWER_S
    assert unsafe(session) == {}
    with pytest.raises(RecordError, match=r"run the plan anew .*it begins again"):
        resume_experiment(first.path, console=console)
