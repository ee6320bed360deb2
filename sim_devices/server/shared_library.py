"""The quTAG stand-in as a shared library with the maker's symbol names, so that the maker's own programs run on it.

The library is written in C and built on the user's computer. It finds the simulated bench by the environment:
QUTAG_TWIN=HOST:PORT/DEVICE, control server and tagger. Without it, or with nobody there, it is a library without a
device, whose TDC_init returns 2. Lab time passes with the wall's, since such programs sleep by themselves;
QUTAG_TWIN_RATE is how many times as fast, 0 for not at all.
"""

import ctypes
import json
import math
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

from qdci_lab.errors import LabError
from sim_devices.server.c_api import EXPORTS, function_table
from sim_devices.server.c_functions import Export

ENVIRONMENT = "QUTAG_TWIN"
RATE_ENVIRONMENT = "QUTAG_TWIN_RATE"
NOBODY = "127.0.0.1:1"
_COMPILERS = ("cc", "gcc", "clang")
_SHELL = Path(__file__).with_name("tdcbase.c")
_SCALARS: Mapping[type, str] = {
    ctypes.c_int: "int",
    ctypes.c_uint: "unsigned int",
    ctypes.c_uint8: "uint8_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_double: "double",
    ctypes.c_void_p: "void *",
    ctypes.c_char_p: "const char *",
}
_FAILURES = {"TDC_perror": '(void *)"the Python behind this library does not start"'}
_C_TYPES = {**_SCALARS, **{ctypes.POINTER(kind): f"{name} *" for kind, name in _SCALARS.items()}}


class LibraryError(LabError):
    """The library cannot be built or used here, and why."""


def functions_of_environment(generation: int) -> Mapping[str, int]:
    """Addresses of the functions by name, for the tagger that the environment names."""
    control, _, device = os.environ.get(ENVIRONMENT, "").rpartition("/")
    if not control:
        sys.stderr.write(f"libtdcbase: {ENVIRONMENT} is not set to HOST:PORT/DEVICE: there is no device\n")
    return function_table(control or NOBODY, device, generation, _rate())


def _rate() -> float:
    text = os.environ.get(RATE_ENVIRONMENT, "1")
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0.0 <= rate < math.inf:
        raise LibraryError(f"{RATE_ENVIRONMENT} is {text!r}, not a number that is 0 or more")
    return rate


def build(target: Path, *, generation: int = 1) -> None:
    """Compile the library (LibraryError without a C compiler, or with a Python that is no shared library itself)."""
    compiler = _compiler()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "tdcbase.c")
        source.write_text(source_text(generation), encoding="utf-8")
        command = [
            *compiler,
            "-shared",
            "-fPIC",
            "-O2",
            "-fvisibility=hidden",
            "-o",
            str(target),
            str(source),
        ]
        result = subprocess.run([*command, *_python_flags()], capture_output=True, text=True, check=False)
    if result.returncode:
        raise LibraryError(f"{compiler[0]} refuses the library:\n{result.stderr.strip()}")


def source_text(generation: int) -> str:
    """The whole C source: what Python is and where, the loader, and one function for each name of the header."""
    exports = EXPORTS[generation]
    definitions = {
        "TWIN_PYTHON": json.dumps(sys.executable),
        "TWIN_PATH": json.dumps(str(Path(__file__).parents[2])),
        "TWIN_GENERATION": str(generation),
        "TWIN_FUNCTIONS": str(len(exports)),
    }
    names = ", ".join(json.dumps(name) for name in exports)
    parts = [
        *(f"#define {name} {value}" for name, value in definitions.items()),
        _SHELL.read_text(encoding="utf-8"),
        f"static const char *const names[TWIN_FUNCTIONS] = {{{names}}};",
        *(_function(index, name, export) for index, (name, export) in enumerate(exports.items())),
        "static void leave(void) { TDC_deInit(); }",
    ]
    return "\n\n".join(parts) + "\n"


def _function(index: int, name: str, export: Export) -> str:
    """One C function that calls the one of Python; TDC_DriverError, 0 or NULL where Python is not to be had."""
    result = "void" if export.result is None else _C_TYPES[export.result]
    kinds = [_C_TYPES[kind] for kind in export.arguments]
    parameters = ", ".join(f"{kind} a{n}" for n, kind in enumerate(kinds)) or "void"
    arguments = ", ".join(f"a{n}" for n in range(len(kinds)))
    call = f"(({result} (*)({', '.join(kinds) or 'void'}))found)({arguments})"
    failure = "DRIVER_ERROR" if export.coded else _FAILURES.get(name, "0")
    returned = f"if (found) {call};" if result == "void" else f"return found ? {call} : {failure};"
    return (
        f"TWIN_API {result} {name}({parameters});\n"
        f"TWIN_API {result} {name}({parameters})\n"
        f"{{\n    void *found = function({index});\n    {returned}\n}}"
    )


def _compiler() -> list[str]:
    wanted = os.environ.get("CC", "").split()
    for candidate in [wanted, *([name] for name in _COMPILERS)]:
        if candidate and shutil.which(candidate[0]):
            return candidate
    named = f"CC={' '.join(wanted)}, " if wanted else ""
    raise LibraryError(
        f"no C compiler here (looked for {named}{', '.join(_COMPILERS)}); install one, for example gcc"
    )


def _python_flags() -> list[str]:
    get = sysconfig.get_config_var
    if not get("Py_ENABLE_SHARED"):
        raise LibraryError(
            f"{sys.executable} is not built as a shared library, which the quTAG library needs"
        )
    folder, include = get("LIBDIR"), sysconfig.get_paths()["include"]
    library = f"-lpython{get('LDVERSION')}"
    return [f"-I{include}", f"-L{folder}", f"-Wl,-rpath,{folder}", library, "-lpthread"]
