"""How an estimator has independent pieces of its work done: one after the other, or by whoever it is given."""

from collections.abc import Callable, Sequence

Run = Callable[[Sequence[Callable[[], object]]], object]
"""Does all jobs, in any order and at once if it can, and returns when the last is done."""


def one_after_the_other(jobs: Sequence[Callable[[], object]]) -> None:
    """Do the jobs in the caller's thread."""
    for job in jobs:
        job()
