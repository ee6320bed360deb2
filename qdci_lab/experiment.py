"""What the commands do, as functions: run an experiment, show a recorded one, check a bench."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from bluesky import RunEngine
from bluesky.utils import MsgGenerator, RunEngineInterrupted
from ophyd.utils import LimitError
from rich.console import Console

from qdci_lab.addresses import REPLAY
from qdci_lab.config import check_options, suggest
from qdci_lab.errors import ConfigError, Interrupted, LabError, Mistake, RecordError
from qdci_lab.live_figure import LiveFigure
from qdci_lab.progress import LiveTable, RunProgress, table_of
from qdci_lab.reanalysis import Difference, reanalyse
from qdci_lab.record.append_only import is_being_written
from qdci_lab.record.parts import RESUMES, JoinedRun, complete_points, parts_of
from qdci_lab.record.recorder import Recorder
from qdci_lab.record.recovery import recover
from qdci_lab.record.replay import Run
from qdci_lab.rehearsal import Rehearsal, rehearse
from qdci_lab.report import Report, report_of
from qdci_lab.session import Session, find_plans, open_session, quiet_bluesky
from qdci_lab.sim_process import find_bench
from qdci_lab.sweep import resumed

CONFIGS = Path("configs")


@dataclass(frozen=True)
class Outcome:
    """What a run left behind: the file, the figure, and the points as plain numbers."""

    file: Path
    figure: Path
    points: list[dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """For printing as one JSON object."""
        return {"file": str(self.file), "figure": str(self.figure), "points": self.points}


def run_experiment(
    folder: Path,
    plan_name: str,
    arguments: Mapping[str, Any],
    *,
    addresses: str,
    directory: Path,
    console: Console,
    seed: int | None = None,
    continues: Run | None = None,
    recorded: Path | None = None,
) -> Outcome:
    """Run a plan on a testbed, with a live table and progress; the file is kept whatever happens.

    With `continues`, the points of a sweep which that run holds are not measured again. With `recorded`, all devices
    answer from that file.
    """
    plan, options = plan_and_options(plan_name, arguments)
    report = report_of(plan_name)
    session = open_session(folder, addresses=addresses, directory=directory, seed=seed, recorded=recorded)

    def measure() -> MsgGenerator[Any]:
        made = plan(session.link, **options)
        return made if continues is None else resumed(made, continues)

    try:
        file = _measure(session, measure, report, console)
    finally:
        session.close()
    return _outcome(file, report, console)


def resume_experiment(
    file: Path,
    *,
    folder: Path | None = None,
    addresses: str | None = None,
    directory: Path | None = None,
    console: Console,
    seed: int | None = None,
) -> Outcome:
    """Go on with a sweep that was killed or stopped, with the arguments it was begun with; a new file is linked to it.

    Testbed, address file and folder are those of the first part unless given. RecordError for what cannot be continued.
    """
    run = Run(_recovered(file, console))
    start = run.start
    done = complete_points(run)
    _check_resumable(run, len(done))
    folder = folder or CONFIGS / str(start.get("testbed"))
    if seed is None and "seed" in start and find_bench(folder) is None:
        seed = int(start["seed"]) + len(
            parts_of(run)
        )  # the same seed would draw the first points' noise again
    console.print(f"{len(done)} points are recorded and not measured again", highlight=False)
    return run_experiment(
        folder, start["plan_name"], start["plan_args"], addresses=addresses or _address_file(start),
        directory=directory or file.parent, console=console, seed=seed, continues=run,
    )  # fmt: skip


def rehearse_experiment(
    folder: Path,
    plan_name: str,
    arguments: Mapping[str, Any],
    *,
    addresses: str,
    console: Console,
    seed: int | None = None,
) -> Rehearsal:
    """Connect, and go through a plan without touching anything; LimitError for a value that cannot be set."""
    plan, options = plan_and_options(plan_name, arguments)
    session = open_session(folder, addresses=addresses, seed=seed)
    try:
        session.connect()
        rehearsal = rehearse(plan(session.link, **options))
    finally:
        session.close()
    console.print(f"{plan_name}: {rehearsal}. Nothing was moved.", highlight=False, soft_wrap=True)
    return rehearsal


def record_wires(
    folder: Path,
    directory: Path,
    *,
    addresses: str,
    console: Console,
    seed: int | None = None,
    plan_name: str | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Connect to every device, run a plan if one is named, and leave what passed on each wire in a folder of files."""
    chosen = (
        None if plan_name is None else (*plan_and_options(plan_name, arguments or {}), report_of(plan_name))
    )
    session = open_session(folder, addresses=addresses, directory=directory, seed=seed, wire_log=directory)
    try:
        if chosen is None:
            session.connect()
        else:
            plan, options, report = chosen
            _outcome(
                _measure(session, lambda: plan(session.link, **options), report, console), report, console
            )
    finally:
        session.close()
        for line in _recordings(session):
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def replay_file(file: Path, *, console: Console) -> Outcome:
    """The table, figure and points of a recorded run, from its file alone."""
    return _outcome(file, report_of(Run(file).start["plan_name"]), console)


def compare_with_raw_data(file: Path, console: Console) -> list[Difference]:
    """Recompute every point from the recorded tags, and print the numbers that differ from the recorded ones."""
    compared, differences = reanalyse(Run(file))
    for difference in differences:
        console.print(f"[red]differs[/red] {difference}")
    verdict = "all are the same bit for bit" if not differences else f"{len(differences)} differ"
    console.print(f"reanalysed from the raw tags: {compared} numbers compared, {verdict}")
    return differences


def plan_and_options(
    plan_name: str, arguments: Mapping[str, Any]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A plan by its name and its arguments validated; ConfigError with every mistake."""
    plans = find_plans()
    if plan_name not in plans:
        known = ", ".join(sorted(plans))
        hint = suggest(plan_name, plans)
        raise ConfigError(
            [Mistake("command line", plan_name, f"there is no such plan (there are: {known})", hint)]
        )
    mistakes: list[Mistake] = []
    options = check_options("command line", "", plans[plan_name], arguments, mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    return plans[plan_name], options


def _recovered(file: Path, console: Console) -> Path:
    """The recorded file of a run, built from its journal where that has not been done."""
    if Run(file).finished:
        return file
    if is_being_written(file):
        raise RecordError(f"{file} is still being written: stop that run first")
    found = recover(file)
    console.print(str(found), soft_wrap=True, highlight=False, markup=False)
    return found.path


def _check_resumable(run: Run, done: int) -> None:
    """RecordError unless the run is a sweep with points left to measure."""
    start = run.start
    if "plan_args" not in start or not done:
        anew = report_of(start["plan_name"]).anew if "plan_args" in start else ""
        raise RecordError(
            f"{run.path} holds no complete point of a sweep: there is nothing to go on from, run the plan anew"
            f"{anew and f' ({anew})'}"
        )
    before = len(start[RESUMES]["points"]) if RESUMES in start else 0
    ran_to_its_end = run.stop is not None and run.stop.get("exit_status") == "success"
    if ran_to_its_end or done == before + int(start.get("num_points", -1)):
        raise RecordError(f"{run.path}: all {done} points are recorded")


def _address_file(start: Mapping[str, Any]) -> str:
    """The address file that a run was made with, by the name under which its text was recorded."""
    names = [name for name in start.get("configuration_files", {}) if name not in ("lab", "twin")]
    return f"{names[0]}.toml" if names else "bench.toml"


def _measure(session: Session, plan: Callable[[], Any], report: Report, console: Console) -> Path:
    """Connect, run a plan, and say in which file it is."""
    quiet_bluesky()
    bar = RunProgress(console)
    with bar.progress:
        session.connect()
        bar.progress.console.print(f"rehearsed: {rehearse(plan())}", highlight=False, soft_wrap=True)
        engine, recorder = session.run_engine()
        for line in session.recovered:
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        engine.subscribe(LiveTable(console, report.columns))
        engine.subscribe(bar)
        figure = LiveFigure(recorder)
        engine.subscribe(figure)
        engine.waiting_hook = bar.waiting
        with _failures_in_order(recorder, console):
            run_stoppable(engine, plan())
            figure.wait()
            recorder.wait()
    if recorder.path is None:
        raise RecordError("the plan made no run")
    return recorder.path


def _recordings(session: Session) -> Iterator[str]:
    """Each device's recording as the address that replays it, or why there is none."""
    for name, path in session.wire_logs.items():
        yield f"{name}  {REPLAY}{path.resolve()}" if path.exists() else f"{name}  not recorded: never opened"
    for role in session.devices:
        if role not in session.wire_logs:
            yield f"{role}  not recorded: no bytes pass, it is called as a C library"


def run_stoppable(engine: RunEngine, plan: Any) -> None:
    """Run a plan; Ctrl-C stops it at once, with the bench made safe and the file written."""
    engine.context_managers = []
    interrupted = threading.Event()
    with _on_ctrl_c(lambda: _interrupt(engine, interrupted)):
        try:
            _until_paused(engine, plan)
        except (
            LabError,
            LimitError,
        ) as error:  # a loop that is broken off may ask an instrument for the impossible
            if interrupted.is_set():
                raise Interrupted(f"stopped by the user; what was under way ended with: {error}") from error
            raise
    if interrupted.is_set():
        raise Interrupted("stopped by the user; the bench was left in its safe state")


def _until_paused(engine: RunEngine, plan: Any) -> None:
    try:
        engine(plan)
    except RunEngineInterrupted:
        engine.abort("stopped by the user")  # an acquisition that is ended by this may still fail


def _interrupt(engine: RunEngine, interrupted: threading.Event) -> None:
    interrupted.set()
    # The engine answers on its own thread; the main thread, which runs this handler, is waiting for it.
    threading.Thread(target=engine.request_pause, kwargs={"defer": False}, daemon=True).start()


@contextlib.contextmanager
def _on_ctrl_c(action: Callable[[], None]) -> Iterator[None]:
    def handler(_number: int, _frame: FrameType | None) -> None:
        action()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def _failures_in_order(recorder: Recorder, console: Console) -> Iterator[None]:
    """Say where the data of a failed run are, before the error is shown."""
    finished = False
    try:
        yield
        finished = True
    finally:
        if not finished and (path := _last_file(recorder)) is not None:
            console.print(f"what was measured is in {path}", soft_wrap=True, highlight=False)


def _last_file(recorder: Recorder) -> Path | None:
    """Where the run that failed is; its journal, where the file could not be built."""
    journals = recorder.journals
    try:
        return recorder.path or next(iter(journals), None)
    except RecordError:
        return next(iter(journals), None)


def _outcome(file: Path, report: Report, console: Console) -> Outcome:
    run = JoinedRun(file)
    rows = [event["data"] for event in run.events("primary")]
    figure = file.with_suffix(".png")
    report.draw(run, figure)
    console.print(table_of(report.columns, rows, title=_title(run)))
    if report.conclude is not None and rows:
        console.print(report.conclude(rows), soft_wrap=True, highlight=False, markup=False)
    console.print(f"file    {file}\nfigure  {figure}", soft_wrap=True, highlight=False)
    return Outcome(file, figure, report.plain_points(rows))


def _title(run: Run) -> str:
    start = run.start
    seed = f", seed {start['seed']}" if "seed" in start else ""
    origin = "simulated" if start.get("source") == "twin" else str(start.get("source", "bench"))
    return f"{start['plan_name']} on {start.get('testbed', '?')} ({origin}{seed})"
