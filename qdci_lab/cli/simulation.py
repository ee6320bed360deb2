"""Commands to the simulated bench: sim up, stop, start, down, fault, clear."""

import argparse
from pathlib import Path

from rich.console import Console

from qdci_lab import sim_process
from qdci_lab.cli.options import Commands, assignments
from qdci_lab.errors import LabError


def add_sim(commands: Commands) -> None:
    """The simulated bench."""
    actions = commands.add_parser("sim", help="the simulated bench").add_subparsers(
        required=True, metavar="ACTION"
    )
    up = actions.add_parser("up", help="start it, and serve until told to stop")
    up.add_argument("testbed", type=Path)
    up.add_argument("--json", action="store_true", help="print the devices as one line of JSON")
    up.add_argument("--seed", type=int, help="instead of the seed in twin.toml")
    up.add_argument(
        "--without", action="append", default=[], metavar="DEVICE", help="leave a device switched off"
    )
    up.add_argument(
        "--truth", type=Path, metavar="FOLDER", help="write the origin of every click into this folder"
    )
    up.set_defaults(command=_sim_up)
    for name, help_text in (
        ("stop", "switch one device off"), ("start", "switch one device on again"), ("down", "stop the whole bench")
    ):  # fmt: skip
        action = actions.add_parser(name, help=help_text)
        action.add_argument("testbed", type=Path)
        if name != "down":
            action.add_argument("device", help="such as alice.voa")
        action.set_defaults(command=_sim_tell, action=name)
    fault = actions.add_parser("fault", help="let something go wrong with one device")
    fault.add_argument("testbed", type=Path)
    fault.add_argument("device", help="such as alice.voa")
    fault.add_argument("kind", help="such as late_reply; docs/faults.md has them all")
    fault.add_argument("values", nargs="*", metavar="KEY=VALUE", help="such as messages=3 or for_s=0.5")
    fault.set_defaults(command=_sim_fault)
    clear = actions.add_parser("clear", help="end the faults of one device, or of all")
    clear.add_argument("testbed", type=Path)
    clear.add_argument("device", nargs="?", help="such as alice.voa")
    clear.set_defaults(command=_sim_clear)


def _sim_up(options: argparse.Namespace, _console: Console) -> int:
    arguments = [
        *(["--json"] if options.json else []),
        *([] if options.seed is None else ["--seed", str(options.seed)]),
        *(word for device in options.without for word in ("--without", device)),
        *([] if options.truth is None else ["--truth", str(options.truth)]),
    ]
    sim_process.serve(options.testbed, arguments)


def _bench_that_is_up(testbed: Path) -> sim_process.SimulatedBench:
    bench = sim_process.find_bench(testbed)
    if bench is None:
        raise LabError(f"no simulated bench is up for {testbed}: start one with `qdci sim up`")
    return bench


def _sim_fault(options: argparse.Namespace, console: Console) -> int:
    bench = _bench_that_is_up(options.testbed)
    fault = {"kind": options.kind, **assignments(options.values)}
    sim_process.ask(bench.control, {"op": "fault", "device": options.device, "fault": fault})
    console.print(f"{options.device}: {options.kind}")
    return 0


def _sim_clear(options: argparse.Namespace, console: Console) -> int:
    bench = _bench_that_is_up(options.testbed)
    device = {} if options.device is None else {"device": options.device}
    sim_process.ask(bench.control, {"op": "clear_faults", **device})
    console.print(f"{options.device or 'every device'}: no faults")
    return 0


def _sim_tell(options: argparse.Namespace, console: Console) -> int:
    bench = _bench_that_is_up(options.testbed)
    if options.action == "down":
        sim_process.ask(bench.control, {"op": "shutdown"})
        console.print("the simulated bench was told to stop")
    else:
        sim_process.ask(bench.control, {"op": f"{options.action}_device", "device": options.device})
        console.print(f"{options.device}: {'off' if options.action == 'stop' else 'on'}")
    return 0
