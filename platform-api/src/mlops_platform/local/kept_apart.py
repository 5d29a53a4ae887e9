"""Which processes are kept from the key that signs statements of approval, and what each of them may write."""

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mlops_platform.local.home import Home
from mlops_platform.local.process import ProcessSpec
from model_server.sandbox import landlock

# files that a setting may name elsewhere, and that the API or the door makes, appends to or replaces
_NAMED = (
    "MLOPS_AUDIT_ANCHOR_FILE",
    "MLOPS_AUDIT_KEY_FILE",
    "MLOPS_AUDIT_PSEUDONYM_KEY_FILE",
    "MLOPS_SCRAPE_TOKEN_FILE",
)
_OF_THE_HOME = ("audit", "bundle-cache", "keys", "predictions", "run")


def why_not() -> str | None:
    """Say why this machine cannot keep processes from the key; None when it can, or when the key is in AWS KMS."""
    return None if os.environ.get("MLOPS_STATEMENT_KMS_KEY") else landlock.why_not(landlock.abi())


def notes(home: Home) -> list[str]:
    """Return what people should know of this start."""
    if why := why_not():
        return [f"every process of the platform can read the key that signs statements: {why}"]
    above = home.statement_key_file.parents
    return [
        f"{name} names a file directly above the home: when it was replaced, start the platform again to have it read"
        for name, value in sorted(os.environ.items())
        if name.startswith("MLOPS_") and name.endswith("_FILE") and Path(value).absolute().parent in above[1:]
    ]


def database(spec: ProcessSpec, home: Home) -> ProcessSpec:
    """PostgreSQL: whoever has its password can have it read and write files."""
    # it gives up root's powers itself, by a user namespace, and needs them for that
    return _apart(spec, home, [home.folder / "postgres"], powers=True)


def tracking_server(spec: ProcessSpec, home: Home) -> ProcessSpec:
    """MLflow: it keeps artifacts, and nothing else in files."""
    return _apart(spec, home, [home.folder / "artifacts"])


def application(spec: ProcessSpec, home: Home) -> ProcessSpec:
    """The API or the door of MLflow: neither writes orders of model processes, bundles, or programs that the worker runs."""
    named = [Path(value).absolute().parent for name in _NAMED if (value := os.environ.get(name))]
    features = os.environ.get("MLOPS_FEAST_REPO")
    # a project of one's own may keep its data anywhere in its folder; in a home they are apart from the definitions
    data = Path(features).absolute() if features else home.folder / "feast" / "data"
    return _apart(spec, home, [*(home.folder / name for name in _OF_THE_HOME), data, *named])


def _apart(spec: ProcessSpec, home: Home, writable: Iterable[Path], *, powers: bool = False) -> ProcessSpec:
    places = [*writable]
    for folder in (home.scratch, *places):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    argv = [
        *(sys.executable, "-m", "mlops_platform.local.apart", "--hidden", str(home.statement_key_file)),
        *("--scratch", str(home.scratch)),
        *(part for place in places for part in ("--write", str(place))),
        *(["--powers"] if powers else []),
        *("--", *spec.argv),
    ]
    return replace(spec, argv=argv)
