"""Which acquisitions are still wanted, told from any thread to the one that acquires."""

from collections.abc import Callable

from qdci_lab.device import Work
from qdci_lab.errors import Abandoned, AcquisitionError
from qdci_lab.signals import TaskStatus


class Aborts:
    """An abort ends the acquisitions that run or wait, and none that is submitted after it."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._count = 0
        self._abandoned = False
        self._when_submitted: int | None = None

    def end_all(self, *, abandoned: bool = False) -> None:
        """End what runs or waits, as a failure, or `abandoned` because it will be done again."""
        self._abandoned = abandoned
        self._count += 1

    def counted_from_now(self, work: Work) -> Work:
        """The work, in which an acquisition ends by an abort from now on, even before it begins."""
        aborts = self._count

        def begun(status: TaskStatus) -> object:
            self._when_submitted = aborts
            try:
                return work(status)
            finally:
                self._when_submitted = None

        return begun

    def guard(self, status: TaskStatus | None) -> Callable[[object], None]:
        """A check for an acquisition that begins now, to be called with how far it has come.

        It raises Abandoned or AcquisitionError after an abort, AcquisitionError when `status` has ended meanwhile.
        """
        aborts = self._count if self._when_submitted is None else self._when_submitted

        def check(so_far: object) -> None:
            if self._count != aborts:
                kind = Abandoned if self._abandoned else AcquisitionError
                raise kind(f"{self._label}: acquisition aborted {so_far}")
            if status is not None and status.done:
                raise AcquisitionError(
                    f"{self._label}: nobody waits for the acquisition any longer, {so_far}"
                )

        return check
