"""Two sets of detectors behind one receiver: which ports are joined, what is refused, what is left behind."""

from pathlib import Path

import pytest
from ophyd.utils import LimitError

from drivers.key_distribution.three_state_settings import EXTERNAL, INTERNAL, CoreRouting
from plans.detector_comparison import detector_comparison
from plans.detectors import PUBLISHED, comparison_told, summaries
from plans.published import newest_runs
from plans.published.clason_runs import recorded_rows
from qdci_lab.errors import ConfigError
from qdci_lab.ipython import prompt_namespace
from qdci_lab.record.replay import Run
from qdci_lab.rehearsal import rehearse
from qdci_lab.session import open_session

CONFIGS = Path(__file__).parents[2] / "configs"
ANALYSERS, WIRES, DIODES = (16, 17, 18, 19), (44, 45, 46, 47), (48, 49, 50, 51)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    directory = tmp_path_factory.mktemp("detectors")
    opened = open_session(CONFIGS / "clason_trusted_node", addresses="sim.toml", directory=directory, seed=2)
    opened.connect()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def link(session):
    return session.link


def led_to(link):
    connections = link.switch.connections.get()
    return tuple(connections[port - 1] for port in ANALYSERS)


def test_the_switch_leads_the_analysers_to_one_set_and_a_change_of_core_keeps_it(link):
    link.core.set(6).wait(timeout=10)
    assert led_to(link) == WIRES
    link.detector_set.set(INTERNAL).wait(timeout=10)
    assert led_to(link) == DIODES
    assert link.find_core() == 6.0
    link.core.set(0).wait(timeout=10)
    assert led_to(link) == DIODES
    assert link.detector_set.get() == INTERNAL
    link.detector_set.set(EXTERNAL).wait(timeout=10)
    assert led_to(link) == WIRES


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ({"detectors": ["pmt"]}, ValueError, "some of snspd, ingaas expected"),
        ({"detectors": ["snspd", "snspd"]}, ValueError, "each once"),
        ({"detectors": []}, ValueError, "some of snspd, ingaas"),
        ({"blocks": 0}, ValueError, "blocks 0"),
        ({"core": 3}, LimitError, "core 3 carries the noise"),
        ({"block_detections": 0.0}, LimitError, "wanted_detections|detections"),
        ({"dark_s": -1.0}, LimitError, "acquisition_time"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_moves(link, arguments, error, told):
    with pytest.raises(error, match=told):
        rehearse(detector_comparison(link, **arguments))


def test_a_bench_without_a_second_set_compares_nothing_but_measures_the_first(link, monkeypatch):
    monkeypatch.setattr(link, "internal_drive", None)
    with pytest.raises(LimitError, match="no second set of detectors"):
        rehearse(detector_comparison(link))
    assert rehearse(detector_comparison(link, detectors=["snspd"])).points == 8


def test_ports_that_do_not_match_are_a_mistake_of_the_configuration():
    with pytest.raises(ConfigError, match="internal_detector_ports: one for each of 4"):
        CoreRouting(1, 40, 2, 41, analyser_ports=list(ANALYSERS), external_detector_ports=list(WIRES))


@pytest.fixture(scope="module")
def run(session):
    names = prompt_namespace(session)
    names["RE"](detector_comparison(session.link, blocks=1, block_detections=5e4, dark_s=5.0))
    return Run(names["recorder"].path)


@pytest.fixture(scope="module")
def rows(run):
    return [event["data"] for event in run.events("primary")]


def test_each_set_clicks_alone_and_is_left_as_it_was(link, rows):
    wires, diodes = rows
    assert (wires["set_number"], diodes["set_number"]) == (EXTERNAL, INTERNAL)
    # 62 /s of their own and stray light against 4 x 600 /s; if both sets clicked the first would be above 2400
    assert wires["set_dark_rate"] < 400.0
    assert 2300.0 < diodes["set_dark_rate"] < 2600.0
    assert 4.0 < wires["link_count_rate"] / diodes["link_count_rate"] < 8.7
    assert diodes["link_qber_z"] > wires["link_qber_z"] + 0.003
    assert link.internal_detectors.bias_voltage.get() == 0.0
    assert link.detector_set.get() == EXTERNAL
    assert link.voa.shutter_open.get() == 0


def test_the_words_give_both_published_values_and_the_class_that_cannot_be_had(rows):
    text = comparison_told(rows)
    assert "4.75 ± 0.71 kb/s" in text
    assert "0.16 ± 0.02 kb/s" in text
    assert "class C, not reproducible" in text
    assert "give all of the key" in text
    assert PUBLISHED[0].skr_bps / PUBLISHED[1].skr_bps == pytest.approx(29.7, abs=0.05)
    found = summaries(rows)
    assert found[0].qber_z == pytest.approx(rows[0]["link_qber_z"])


def test_the_run_stands_in_the_table_of_published_values(run):
    wires, diodes = recorded_rows(newest_runs(run.path.parent))
    assert (wires.kind, wires.published, wires.how) == ("B", 4.75, run.path.name)
    assert (diodes.kind, diodes.verdict, diodes.published) == ("C", "not reproducible", pytest.approx(0.16))
    assert recorded_rows({}) == []
