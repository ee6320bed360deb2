"""What a run was made with: versions of Python and packages, platform, and the state of the source tree."""

import platform
import shutil
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("qdci-lab", "bluesky", "ophyd", "event-model", "numpy", "scipy", "numba", "h5py", "hdf5plugin")
_GIT_TIMEOUT_S = 5.0


def provenance(source_tree: Path | None = None, *, packages: Iterable[str] = PACKAGES) -> dict[str, Any]:
    """For the start document: {"python", "platform", "packages": {name: version}, "git": {...} or absent}.

    Names neither the machine nor its folders. `git` (commit, branch, modified) is left out where `source_tree` is not
    under git or git cannot be asked.
    """
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: found for name in packages if (found := _version(name)) is not None},
    }
    state = _git_state(source_tree) if source_tree is not None else None
    return facts if state is None else {**facts, "git": state}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state(tree: Path) -> dict[str, Any] | None:
    commit = _git(tree, "rev-parse", "HEAD")
    changes = _git(tree, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {
        "commit": commit,
        "branch": _git(tree, "rev-parse", "--abbrev-ref", "HEAD") or "",
        "modified": bool(changes),
    }


def _git(tree: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, "-C", str(tree), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
