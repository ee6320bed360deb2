"""The lab's prompt: the names users type, and metadata that outlive a restart."""

import pytest

from qdci_lab.ipython import prompt_namespace
from qdci_lab.record.replay import Run
from qdci_lab.session import PersistentMetadata, open_session


@pytest.fixture(scope="module")
def session(testbed_folder, tmp_path_factory):
    opened = open_session(testbed_folder, addresses="sim.toml", directory=tmp_path_factory.mktemp("prompt"))
    opened.connect()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def names(session):
    return prompt_namespace(session)


def test_the_usual_names_are_there(names):
    usual = {
        "RE",
        "bec",
        "cat",
        "sd",
        "bp",
        "bps",
        "alice",
        "bob",
        "classical",
        "switch",
        "link",
        "skr_vs_launch_power",
    }
    assert usual <= set(names)
    assert names["alice"].voa.attenuation.limits == (0.0, 45.0)


def test_a_plan_of_bluesky_itself_is_recorded_with_its_baseline_and_where_it_comes_from(names):
    names["RE"](
        names["bp"].scan([names["classical"].power_meter], names["alice"].voa.attenuation, 0.0, 3.0, 4)
    )
    run = names["cat"][-1]
    assert list(run.table()["alice_voa_attenuation"]) == [0.0, 1.0, 2.0, 3.0]
    assert "baseline" in run.streams
    assert (run.start["source"], run.start["testbed"], run.start["seed"]) == ("twin", "ji_mcf", 1)
    assert "[components.fibre]" in run.start["configuration_files"]["twin"]
    assert run.start["uid"][:8] in run.path.name
    assert "scan" in repr(names["cat"])


def test_scan_numbers_go_on_after_a_restart(session, names):
    before = names["RE"].md["scan_id"]
    again = prompt_namespace(session)
    again["RE"](again["bp"].count([again["classical"].power_meter]))
    assert Run(again["recorder"].path).start["scan_id"] == before + 1
    assert PersistentMetadata(session.directory / "metadata.json")["scan_id"] == before + 1


def test_a_signal_asks_the_instrument_when_the_user_does(names):
    names["alice"].voa.attenuation.put(7.5)
    assert names["alice"].voa.attenuation.get() == 7.5
