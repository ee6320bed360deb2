import subprocess
from pathlib import Path

import numpy as np
import pytest
from pytest_mock import MockerFixture

from qdci_lab.record.encoding import encode
from qdci_lab.record.provenance import provenance


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("one")
    for arguments in (["init", "-q", "-b", "trunk"], ["add", "a.txt"], ["commit", "-q", "-m", "first"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)
    return tmp_path


def test_versions_and_platform_are_given_without_the_machines_folders() -> None:
    facts = provenance()
    assert facts["packages"]["numpy"] == np.__version__
    assert facts["python"].startswith("3.")
    assert "git" not in facts
    assert "/" not in str(facts)
    encode(facts)


def test_packages_that_are_not_installed_are_left_out() -> None:
    assert provenance(packages=("numpy", "no-such-package"))["packages"] == {"numpy": np.__version__}


def test_the_state_of_the_source_tree_is_given(tree: Path) -> None:
    clean = provenance(tree)["git"]
    assert (clean["branch"], clean["modified"], len(clean["commit"])) == ("trunk", False, 40)
    (tree / "a.txt").write_text("two")
    assert provenance(tree)["git"] == {**clean, "modified": True}


def test_a_folder_without_git_has_no_state(tmp_path: Path) -> None:
    assert "git" not in provenance(tmp_path)


def test_an_absent_git_is_tolerated(tree: Path, mocker: MockerFixture) -> None:
    mocker.patch("shutil.which", return_value=None)
    assert "git" not in provenance(tree)


def test_a_git_that_hangs_is_tolerated(tree: Path, mocker: MockerFixture) -> None:
    mocker.patch("subprocess.run", side_effect=subprocess.TimeoutExpired("git", 5))
    assert "git" not in provenance(tree)
