"""The lab's prompt: the bench's devices, the plans and bluesky's usual names in an IPython session."""

from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky.callbacks.best_effort import BestEffortCallback
from bluesky.utils import ProgressBarManager
from rich.console import Console

from qdci_lab.live_figure import LiveFigure
from qdci_lab.record.catalogue import Catalogue
from qdci_lab.rehearsal import rehearse
from qdci_lab.session import PersistentMetadata, Session, find_plans, open_session

METADATA_FILE = "metadata.json"


def prompt_namespace(session: Session) -> dict[str, Any]:
    """The names of the prompt: `RE, bec, cat, sd, bp, bps, bpp`, the devices and the plans."""
    engine, recorder = session.run_engine()
    engine.md = PersistentMetadata(session.directory / METADATA_FILE)
    callback = BestEffortCallback()
    callback.disable_plots()  # drawing takes longer than a point; the plan's own figure grows beside the run
    engine.subscribe(callback)
    figure = LiveFigure(recorder, finish=_tell_figure)
    engine.subscribe(figure)
    session.when_closed.append(figure.wait)
    engine.waiting_hook = ProgressBarManager()
    return {
        "RE": engine, "bec": callback, "cat": Catalogue(session.directory), "sd": session.baseline,
        "recorder": recorder, "bp": bp, "bps": bps, "bpp": bpp, "session": session, "rehearse": rehearse,
        **session.namespace(), **find_plans(),
    }  # fmt: skip


def _tell_figure(path: Path) -> None:
    Console().print(f"figure  {path}", soft_wrap=True, highlight=False, markup=False)


def start_prompt(folder: Path, *, addresses: str, directory: Path, seed: int | None = None) -> None:
    """Connect to a testbed and hand it to the user; returns when the prompt is left."""
    import IPython
    from traitlets.config import Config

    session = open_session(folder, addresses=addresses, directory=directory, seed=seed)
    try:
        session.connect()
        names = prompt_namespace(session)
        settings = Config()
        settings.TerminalInteractiveShell.banner2 = _banner(session)
        IPython.start_ipython(argv=[], user_ns=names, config=settings)
    finally:
        session.close()


def _banner(session: Session) -> str:
    devices = ", ".join(session.everything())
    plans = ", ".join(sorted(find_plans()))
    recovered = "".join(f"{line}\n" for line in session.recovered)
    bench = f"{session.testbed.name} ({session.source})"
    return f"{recovered}{bench}\ndevices: {devices}\nplans:   {plans}\n\nRE({DEFAULT_CALL})\n"


DEFAULT_CALL = "skr_vs_launch_power(link, launch_powers_dbm=[-10, 12], detections=1e6)"
