"""A second thread for estimators whose compiled loops let go of the interpreter: two cores work on one stream."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from types import TracebackType


class TwoThreads:
    """What estimators take as `run`: the first job is done in the caller's thread, the others in one beside it.

    Results are the same as with one thread. An error of a job is raised when all have ended. For one caller at a time;
    close it, or use it in a `with` statement.
    """

    def __init__(self) -> None:
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="beside")

    def __call__(self, jobs: Sequence[Callable[[], object]]) -> None:
        others = [self._beside.submit(job) for job in jobs[1:]]
        try:
            for job in jobs[:1]:
                job()
        finally:
            wait(others)
        for other in others:
            other.result()

    def close(self) -> None:
        """End the thread."""
        self._beside.shutdown()

    def __enter__(self) -> "TwoThreads":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
