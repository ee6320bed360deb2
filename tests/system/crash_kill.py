"""Kills a process at a chosen system call of any of its threads (Linux, ptrace)."""

import ctypes
import os
import signal
from collections.abc import Callable

_TRACE_ME, _SYSCALL, _SET_OPTIONS = 0, 24, 0x4200
_TRACE_CLONE, _EXIT_KILL, _ALL_THREADS = 0x8, 0x100000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def run_until_call(work: Callable[[], object], call: int | None) -> int | None:
    """Fork, run `work`, and kill the child at its `call`-th stop (each system call has two, before and after it).

    The number of stops if it came to its end instead. RuntimeError where processes cannot be traced.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _libc.ptrace(_TRACE_ME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            code = 0
        finally:
            os._exit(code)
    return _traced(child, call)


def _traced(child: int, call: int | None) -> int | None:
    os.waitpid(child, 0)
    if _libc.ptrace(_SET_OPTIONS, child, None, _TRACE_CLONE | _EXIT_KILL) != 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise RuntimeError("processes cannot be traced here")
    _libc.ptrace(_SYSCALL, child, None, None)
    stops = 0
    while True:
        thread, status = os.waitpid(-1, _ALL_THREADS)
        if not os.WIFSTOPPED(status):
            if thread == child:
                return stops if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else None
            continue
        stops += 1
        if stops == call:
            os.kill(child, signal.SIGKILL)
            continue
        _libc.ptrace(_SYSCALL, thread, None, None)
