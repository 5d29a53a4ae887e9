"""Environment variables of model processes, by allow-list. Pure.

A variable can name a library to load (LD_PRELOAD, OPENSSL_CONF, PYTHONPATH, and many more that libraries think of later), so
what is not known to be harmless is refused.
"""

import re
from collections.abc import Mapping
from pathlib import Path

# how many threads, and how numerical libraries compute; each takes a number or a word, never a file
NUMERICAL = frozenset(
    {
        "OMP_NUM_THREADS",
        "OMP_THREAD_LIMIT",
        "OMP_WAIT_POLICY",
        "OMP_PROC_BIND",
        "OMP_DYNAMIC",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMBA_DISABLE_JIT",
        "LOKY_MAX_CPU_COUNT",
        "SKLEARN_ASSUME_FINITE",
        "TZ",
        "LOG_LEVEL",
    }
)
# a model's own settings, which only its own code reads
PREFIX = "MODEL_"
# how the platform tells the model server what to verify
OURS = "MODEL_SERVER_"
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_SYSTEM = frozenset({"PATH", "LANG", "LC_ALL"})
_LONGEST = 2_000
# no bytecode, no windows, and no semaphores, which joblib looks for although nothing here may start a process
_FIXED = {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg", "JOBLIB_MULTIPROCESSING": "0"}
_SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")


def problem(name: str, value: str) -> str | None:
    """Say why a person may not set this variable for a model; None when it may be set."""
    if not _NAME.fullmatch(name):
        return f"{name!r} is not a variable name: capital letters, digits and underscores, at most 64"
    if name not in NUMERICAL and (not name.startswith(PREFIX) or name.startswith(OURS)):
        return (
            f"'{name}' is not on the list of variables a model may have: a name that starts with {PREFIX}, or one of "
            f"{', '.join(sorted(NUMERICAL))}"
        )
    if len(value) > _LONGEST or not value.isprintable():
        return f"the value of '{name}' must be one line of printable characters, at most {_LONGEST}"
    if name in NUMERICAL and not re.fullmatch(r"[A-Za-z0-9_+:,./-]{0,100}", value):
        return f"the value of '{name}' must be a number or a word"
    if name == "TZ" and (value.startswith((":", "/")) or ".." in value):
        return "the value of 'TZ' must be the name of a time zone, such as Europe/Berlin"
    return None


def of_models(asked: Mapping[str, str]) -> dict[str, str]:
    """Return those variables a model may have; others, in an order from before the list, are left out."""
    return {name: value for name, value in asked.items() if problem(name, value) is None}


def clean(inherited: Mapping[str, str], scratch: Path) -> dict[str, str]:
    """Return the whole environment of a model process: the model's and the system's variables, caches below scratch."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name in _SYSTEM or name.startswith(OURS) or problem(name, value) is None
    }
    places = dict.fromkeys(
        (
            "HOME",
            "TMPDIR",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "MPLCONFIGDIR",
            "NUMBA_CACHE_DIR",
            "JOBLIB_TEMP_FOLDER",
        ),
        str(scratch),
    )
    return {"LANG": "C.UTF-8", **_SINGLE, **kept, **places, **_FIXED}
