"""An environment in the store: found by its name, and whether it is whole. Reads only; nothing of it is imported."""

import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from typing import Any

from model_server.refusals import Refused

# a digest of the lock; also the name of its folder
NAME = re.compile(r"[0-9a-f]{64}")
MARKER, LIBRARIES, FILES = "environment.json", "lib", "files.json"
_LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Libraries:
    """A model's own libraries: the folder they lie in, and the interpreter they were chosen for."""

    name: str
    folder: Path
    interpreter: str


def find(root: Path, name: str) -> Libraries:
    """Return the environment of that name below `root`. Raises Refused `environment_missing` unless it is whole.

    Whole: its marker was written last, and every file of its list is there. One that was touched since is read and compared.
    """
    folder = root.absolute() / name
    said = _marker_of_whole(folder, name)
    interpreter = str(said.get("interpreter", ""))
    if not Path(interpreter).is_file():
        raise Refused(
            "environment_missing",
            f"The libraries of this model (environment {name[:12]}) are not on this machine, or not whole; the worker installs "
            "them again from the lock that was kept with the model.",
        )
    return Libraries(name, folder / LIBRARIES, interpreter)


def brought(root: Path, name: str) -> Libraries:
    """Return an environment that was unpacked below `root` on a machine that has one Python: this process's.

    Raises Refused `environment_missing` unless it is whole, `other_python` when it was made for another Python.
    """
    said = _marker_of_whole(root.absolute() / name, name)
    if not said:
        raise Refused(
            "environment_missing",
            f"The libraries of this model (environment {name[:12]}) were not brought to this pod; look at the log of its "
            "container 'approvals'.",
        )
    if said.get("python") != python_version():
        raise Refused(
            "other_python",
            f"The libraries of this model are for Python {said.get('python')}, and the model server's image has {python_version()}; "
            "deploy the version again with a worker and a model server of one release.",
        )
    return Libraries(name, root.absolute() / name / LIBRARIES, str(Path(sys.executable).resolve()))


def _marker_of_whole(folder: Path, name: str) -> dict[str, Any]:
    """Return what the marker says, nothing unless every file of its list is there."""
    try:
        said: dict[str, Any] = json.loads((folder / MARKER).read_text()) if NAME.fullmatch(name) else {}
        if said.get("name") != name:
            return {}
        files = json.loads((folder / FILES).read_text())
        whole = all(_same(f"{folder}/{LIBRARIES}/{path}", *listed) for path, listed in files.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return said if whole else {}


def _same(path: str, size: int, touched: int, digest: str) -> bool:
    known = os.lstat(path)
    if known.st_size != size:
        return False
    if known.st_mtime_ns == touched:
        return True
    with open(path, "rb") as stream:  # noqa: PTH123 - thousands of files: a Path for each takes longer than looking at it
        return hashlib.file_digest(stream, "sha256").hexdigest() == digest


def program(module: str, libraries: Libraries | None) -> list[str]:
    """Return the start of the command that runs a program of the model server, in these libraries or the platform's own."""
    if libraries is None:
        return [sys.executable, "-I", "-m", module]
    return [libraries.interpreter, "-I", "-S", str(_LAUNCH), str(libraries.folder), str(_landlock()), module]


def named_in(bundle: Path) -> str | None:
    """Return the name of the environment a bundle was built in, None for the platform's own. Raises OSError, ValueError."""
    content = json.loads((bundle / "bundle.json").read_text())
    name = content.get("libraries") if isinstance(content, dict) else None
    return None if name is None else str(name)


def for_bundle(root: Path, bundle: Path) -> Libraries | None:
    """Return the libraries to serve a bundle in, None for the platform's own. Raises Refused, OSError, ValueError."""
    name = named_in(bundle)
    return None if name is None else find(root, name)


def versions(libraries: Libraries, names: Sequence[str]) -> dict[str, str | None]:
    """Return the versions that lie there, by canonical name; None for what does not."""
    from importlib.metadata import distributions

    there = {
        re.sub(r"[-_.]+", "-", each.metadata["Name"] or "").lower(): each.version
        for each in distributions(path=[str(libraries.folder)])
    }
    return {name: there.get(name) for name in names}


def _landlock() -> Path:
    spec = importlib.util.find_spec("landlockpy")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent
