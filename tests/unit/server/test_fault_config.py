"""Faults as a user writes them into twin.toml, and what is said about mistakes."""

import shutil
from pathlib import Path

import pytest

from qdci_lab.errors import ConfigError
from sim_devices.config import find_mistakes, load_faults
from sim_devices.fault_config import read_fault
from sim_devices.faults import Garbage, LateReply


@pytest.fixture
def testbed(testbed_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(testbed_folder, tmp_path / "copy")


def with_fault(testbed: Path, **values: str) -> Path:
    table = "".join(f"{key} = {value}\n" for key, value in values.items())
    with (testbed / "twin.toml").open("a") as file:
        file.write(f"\n[[faults]]\n{table}")
    return testbed


def test_faults_of_a_testbed(testbed):
    with_fault(
        testbed, device='"alice.voa"', kind='"late_reply"', delay_s="2", after_messages="100", messages="1"
    )
    with_fault(testbed, device='"bob.tagger"', kind='"tag_overflow"', from_s="3.5", for_s="0.5")
    assert find_mistakes(testbed) == []
    (first, late), (second, overflow) = load_faults(testbed)
    assert (first, second) == ("alice.voa", "bob.tagger")
    assert late == LateReply(delay_s=2.0, after_messages=100, messages=1)
    assert (overflow.KIND, overflow.from_s, overflow.for_s) == ("tag_overflow", 3.5, 0.5)


@pytest.mark.parametrize(
    ("values", "mistake"),
    [
        ({"device": '"alice.vao"', "kind": '"busy"'}, "faults[0].device: there is no instrument 'alice.vao'"),
        ({"device": '"alice.voa"', "kind": '"bsuy"'}, "faults[0].kind: there is no fault 'bsuy'"),
        ({"device": '"alice.voa"', "kind": '"busy"', "mesages": "1"}, "faults[0].mesages: is not known here"),
        ({"device": '"alice.voa"', "kind": '"busy"', "messages": "0"}, "faults[0].messages: Input should be"),
        ({"device": '"alice.voa"', "kind": '"busy"', "for_s": "0.0"}, "faults[0].for_s: Input should be"),
        (
            {"device": '"alice.voa"', "kind": '"hung_call"'},
            "faults[0].kind: alice.voa is behind sim://tcp, and",
        ),
        ({"device": '"alice.voa"'}, "faults[0].kind: is missing"),
    ],
)
def test_mistakes_say_where_and_what(testbed, values, mistake):
    told = [str(found) for found in find_mistakes(with_fault(testbed, **values))]
    assert len(told) == 1
    assert f"twin.toml: {mistake}" in told[0]


def test_a_fault_from_the_control_socket():
    assert read_fault({"kind": "garbage", "messages": 2}) == Garbage(messages=2)
    with pytest.raises(ConfigError, match="did you mean 'garbage'"):
        read_fault({"kind": "garbadge"})
