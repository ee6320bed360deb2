"""Plans run unchanged where one instrument of their bench is another model of its kind, and find the same.

Each bench is run twice with one seed, as it is and with the other model behind the same component of the twin. The
arrangement of its light is the same then, but not the clicks, because instruments take their own time: counts differ
by chance, levels by the other instrument's steps. A right driver fails one of the forty comparisons at four standard
deviations once in 400 runs with new seeds; the seed is fixed.
"""

import io
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from qdci_lab.experiment import run_experiment
from qdci_lab.record.replay import Run
from qdci_lab.rehearsal import rehearse
from qdci_lab.session import find_plans, open_session

CONFIGS = Path(__file__).parents[2] / "configs"
Z = 4.0


@dataclass(frozen=True)
class Bench:
    """A testbed, a plan with shortened arguments, and what of its rows is compared."""

    testbed: str
    plan: str
    arguments: Mapping[str, Any]
    counts: tuple[str, ...]
    """Numbers of events in a row, whose rates are compared."""
    shares: Mapping[str, str]
    """Error rates, each with the number of events that it is a share of."""
    moved: Mapping[str, float] = field(default_factory=dict)
    """What the plan brings to a value, with how far from it the instruments may stay."""
    stream: str = "primary"


@dataclass(frozen=True)
class Swap:
    """One role's other model: what lab.toml, twin.toml and sim.toml say of it instead.

    `loss_db` is how far the light may be off because the other model's steps are coarser, `lab` what else the lab
    knows of its new instrument, by the pattern in lab.toml that it takes the place of.
    """

    bench: str
    role: str
    model: str
    driver: str
    firmware: str
    sockets: str
    address: str = "sim://tcp"
    options: str = ""
    loss_db: float = 0.0
    lab: Mapping[str, str] = field(default_factory=dict)


BENCHES = {
    "attenuation_sweep": Bench(
        "qiu_cow_dci", "attenuation_sweep", {"added_losses_db": [0.0, 3.333], "detections": 2e4},
        counts=("n_key",), shares={"qber": "n_key"}, moved={"added_loss": 0.005},
    ),
    "skr_vs_launch_power": Bench(
        "ji_mcf", "skr_vs_launch_power",
        {"launch_powers_dbm": [-10.0, 12.0], "detections": 1e5, "align": False, "keep_tags": False},
        counts=("n_z", "n_x"), shares={"qber_z": "n_z", "qber_x": "n_x"}, moved={"launch_power": 0.06},
    ),
    "core_switching": Bench(
        "clason_trusted_node", "core_switching",
        {"cores": [1], "currents_ma": [0.0], "blocks": 1, "block_detections": 2e4, "duration_h": 1e-3},
        counts=("n_z", "n_x"), shares={"qber_z": "n_z", "qber_x": "n_x"}, stream="blocks",
    ),
}  # fmt: skip

OZ_DD100MC: dict[str, Any] = {
    "model": "OZ Optics DD-100-MC",
    "driver": "drivers.voa.oz_dd100mc:OzDd100mc",
    "firmware": "oz_dd100mc",
    "sockets": "attenuator",
    "address": "sim://pty",
    "loss_db": 0.005,
}
MTP1000: dict[str, Any] = {
    "model": "MTP",
    "driver": "drivers.laser.coherent_mtp1000:CoherentMtp1000",
    "firmware": "coherent_mtp1000",
    "sockets": "1",
    "options": "slot = 1",
}
TL1: dict[str, Any] = {
    "model": "Polatis",
    "driver": "drivers.optical_switch.polatis_6000_tl1:Polatis6000Tl1",
    "firmware": "polatis_6000_tl1",
    "sockets": "matrix",
}
SWAPS = {
    "channel VOA with a motor": Swap("attenuation_sweep", "channel.voa", **OZ_DD100MC),
    "other laser": Swap("attenuation_sweep", "alice.laser", **MTP1000),
    "faster generator": Swap(
        "attenuation_sweep", "alice.awg", "M8196A", "drivers.awg.keysight_m8196a:KeysightM8196A",
        "keysight_m8196a", "outputs",
        lab={
            r"sample_rate_hz = 1\.5e10": "sample_rate_hz = 9e10",
            r"samples_per_pulse = 2 ": "samples_per_pulse = 12 ",
        },
    ),
    "launch VOA with a motor": Swap("skr_vs_launch_power", "classical.launch_voa", **OZ_DD100MC),
    "other power meter": Swap(
        "skr_vs_launch_power", "classical.power_meter", "PM100D", "drivers.power_meter.thorlabs_pm100d:ThorlabsPm100d",
        "thorlabs_pm100d", "sensor",
    ),
    "switch by TL1": Swap("core_switching", "switch", **TL1),
    "noise meter in a mainframe": Swap(
        "core_switching", "noise.power_meter", "N7744A", "drivers.power_meter.keysight_n7744a:KeysightN7744A",
        "keysight_n7744a", "1", options="slot = 1",
    ),
}  # fmt: skip


def with_section(text: str, header: str, body: str) -> str:
    """The text of a TOML file with one table's lines replaced."""
    changed, count = re.subn(
        rf"(?ms)^\[{re.escape(header)}\]\n.*?(?=^\[|^#|\Z)", f"[{header}]\n{body}\n\n", text
    )
    assert count == 1, header
    return changed


def with_words(text: str, pattern: str, new: str) -> str:
    changed, count = re.subn(pattern, new, text)
    assert count == 1, pattern
    return changed


def component_of(twin: str, name: str) -> str:
    """The twin's component behind an instrument."""
    found = re.search(rf'(?ms)^\[instruments\.{re.escape(name)}\]\n.*?^components = {{ "\w+" = "(\w+)"', twin)
    assert found, name
    return found.group(1)


def swapped(swap: Swap, directory: Path) -> Path:
    """A copy of the bench's testbed with the other model in the role, behind the same component."""
    return swap_in(Path(shutil.copytree(CONFIGS / BENCHES[swap.bench].testbed, directory / "swapped")), swap)


def swap_in(folder: Path, swap: Swap) -> Path:
    texts = {
        name: (folder / name).read_text(encoding="utf-8") for name in ("lab.toml", "twin.toml", "sim.toml")
    }
    name = f'"{swap.role}"' if "." in swap.role else swap.role
    component = component_of(texts["twin.toml"], name)
    texts["lab.toml"] = with_section(
        texts["lab.toml"], f"devices.{name}", f'driver = "{swap.driver}"\n{swap.options}'
    )
    for pattern, new in swap.lab.items():
        texts["lab.toml"] = with_words(texts["lab.toml"], pattern, new)
    texts["twin.toml"] = with_section(
        texts["twin.toml"], f"instruments.{name}",
        f'firmware = "{swap.firmware}"\nserial_number = "SWAPPED"\n'
        f'components = {{ "{swap.sockets}" = "{component}" }}',
    )  # fmt: skip
    texts["sim.toml"] = with_words(
        texts["sim.toml"], rf'"{re.escape(swap.role)}" = "sim://\w+"', f'"{swap.role}" = "{swap.address}"'
    )
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def rows_of(bench: Bench, folder: Path, directory: Path) -> tuple[Run, list[dict[str, Any]]]:
    outcome = run_experiment(
        folder, bench.plan, bench.arguments,
        addresses="sim.toml", directory=directory, console=Console(file=io.StringIO(), width=160), seed=7,
    )  # fmt: skip
    run = Run(outcome.file)
    return run, [event["data"] for event in run.events(bench.stream)]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each plan finds on its own bench, run when it is first asked for."""
    found: dict[str, list[dict[str, Any]]] = {}

    def rows(name: str) -> list[dict[str, Any]]:
        if name not in found:
            bench = BENCHES[name]
            found[name] = rows_of(bench, CONFIGS / bench.testbed, tmp_path_factory.mktemp("usual"))[1]
        return found[name]

    return rows


def disagreements(bench: Bench, swap: Swap, here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """What differs by more than chance and the other model's steps explain."""
    found: list[tuple[str, float, float, float]] = []
    steps = 10 ** (0.1 * swap.loss_db) - 1.0
    for key in bench.counts:
        one, other = (row[f"link_{key}"] / row["link_duration"] for row in (here, there))
        spread = sum(1.0 / row[f"link_{key}"] for row in (here, there)) ** 0.5
        found.append((f"{key} a second", one, other, one * (Z * spread + steps)))
    for key, events in bench.shares.items():
        one, other = here[f"link_{key}"], there[f"link_{key}"]
        spread = sum(row[f"link_{key}"] / row[f"link_{events}"] for row in (here, there)) ** 0.5
        found.append((key, one, other, Z * spread))
    found += [(key, here[f"link_{key}"], there[f"link_{key}"], off) for key, off in bench.moved.items()]
    return [
        f"{what}: {one:.6g} and {other:.6g}" for what, one, other, off in found if not abs(one - other) <= off
    ]


@pytest.mark.parametrize("name", SWAPS)
def test_a_plan_runs_unchanged_with_another_model_and_finds_the_same(name, usual, tmp_path):
    swap = SWAPS[name]
    bench = BENCHES[swap.bench]
    expected = usual(swap.bench)
    run, rows = rows_of(bench, swapped(swap, tmp_path), tmp_path)
    assert len(rows) == len(expected) > 0
    assert [disagreements(bench, swap, *pair) for pair in zip(expected, rows, strict=True)] == [[]] * len(
        rows
    )
    device = swap.role.replace(".", "_")
    assert swap.model in run.configuration(device)[f"{device}_identity"]
    assert swap.driver in run.start["configuration_files"]["lab"]


@pytest.fixture(scope="module")
def without_shutters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ji's testbed with an attenuator that has no shutter in all three places."""
    folder = Path(shutil.copytree(CONFIGS / "ji_mcf", tmp_path_factory.mktemp("motors") / "motors"))
    for role in ("alice.voa", "classical.launch_voa", "probe.voa"):
        swap_in(folder, Swap("skr_vs_launch_power", role, **OZ_DD100MC))
    return folder


def test_no_plan_wants_a_shutter(without_shutters, tmp_path):
    session = open_session(without_shutters, addresses="sim.toml", directory=tmp_path, seed=7)
    try:
        session.connect()
        for name in (
            "calibrate_mean_photon_number", "characterise_cores", "dark_counts_vs_launch_power", "error_budget",
            "scan_gate", "skr_vs_distance",
        ):  # fmt: skip
            options = {"added_loss_db": 10.0} if name == "scan_gate" else {}
            assert rehearse(find_plans()[name](session.link, **options)).points >= 4, name
    finally:
        session.close()


def test_light_that_is_blocked_by_attenuation_comes_back_with_the_setting_of_each_point(
    without_shutters, tmp_path
):
    bench = Bench(
        "ji_mcf", "calibrate_mean_photon_number", {"attenuations_db": [0.0, 5.0], "readings": 3, "averaging_s": 0.1},
        counts=(), shares={},
    )  # fmt: skip
    usual_rows, rows = (
        rows_of(bench, folder, tmp_path)[1] for folder in (CONFIGS / "ji_mcf", without_shutters)
    )
    assert len(rows) == len(usual_rows) == 4
    for here, there in zip(usual_rows, rows, strict=True):
        spread = (here["source_error"] ** 2 + there["source_error"] ** 2) ** 0.5
        steps = here["source_mean_photon_number"] * (10 ** (0.1 * OZ_DD100MC["loss_db"]) - 1.0)
        assert (
            abs(here["source_mean_photon_number"] - there["source_mean_photon_number"]) < Z * spread + steps
        )
