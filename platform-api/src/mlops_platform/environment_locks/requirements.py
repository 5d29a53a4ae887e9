"""What a logged model says it needs, read from its own files. They are the model's: each line is judged before anybody resolves it.

Pure but for reading those files. What pip would take and this does not (options, addresses, paths) is refused by name.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_LISTED, _PYTHON, _CONDA = "requirements.txt", "python_env.yaml", "conda.yaml"
_LONGEST, _MOST, _SHOWN = 1 << 18, 1_000, 80
_VERSION = re.compile(r"(\d+)\.(\d+)(\.\d+)?")
# MLflow's own python_env.yaml names the list beside it this way
_THE_LIST = "-r requirements.txt"
_COMMENT = re.compile(r"(^|\s)#.*$")


class NotAllowed(Exception):
    """The model asks for something no model may ask for; the sentence names the line."""


@dataclass(frozen=True)
class Asked:
    """What the model names: `python` is major.minor or None, `source` the file the requirements are from or None."""

    requirements: tuple[Requirement, ...]
    python: str | None
    source: str | None


def asked_by(root: Path) -> Asked:
    """Read the model's files: requirements.txt, else conda.yaml; Python from python_env.yaml, else conda.yaml. Raises NotAllowed."""
    environment, conda = _mapping(root / _PYTHON), _mapping(root / _CONDA)
    python = _python(environment.get("python"))
    lines, source = _lines(root), _LISTED
    if lines is None:
        python_of_conda, lines = _of_conda(conda)
        python, source = python or python_of_conda, _CONDA
    elif python is None:
        python = _of_conda(conda)[0]
    more = environment.get("dependencies") or []
    if not isinstance(more, list):
        raise NotAllowed(f"{_PYTHON}: `dependencies` is no list.")
    extra = [str(line) for line in more if str(line).strip() != _THE_LIST]
    found = [*_parsed(lines or [], source), *_parsed(extra, _PYTHON)]
    if len(found) > _MOST:
        raise NotAllowed(f"{source} names more than {_MOST} requirements.")
    return Asked(tuple(found), python, source if found else None)


def applying(asked: Asked, python: str) -> list[Requirement]:
    """Return the requirements whose markers hold for this Python (major.minor) on this machine. Raises NotAllowed."""
    here = {"python_version": python, "python_full_version": f"{python}.0"}
    try:
        return [each for each in asked.requirements if each.marker is None or each.marker.evaluate(here)]
    except UndefinedEnvironmentName as error:
        raise NotAllowed(f"{asked.source}: a marker of it cannot be evaluated: {error}.") from error


def _lines(root: Path) -> list[str] | None:
    text = _text(root / _LISTED)
    return None if text is None else text.splitlines()


def _parsed(lines: list[str], source: str) -> list[Requirement]:
    found = []
    for number, line in enumerate(lines, 1):
        plain = _COMMENT.sub("", line).strip()
        if plain:
            found.append(_requirement(plain, f"{source}, line {number}: '{_shown(plain)}'"))
    return found


def _requirement(line: str, where: str) -> Requirement:
    if line.startswith("-"):
        raise NotAllowed(
            f"{where} is an option, and a model sets none: which index and which files are asked is the platform's. "
            "Name libraries only, such as scikit-learn==1.3.2."
        )
    if "\\" in line or line.startswith((".", "/", "~", "file:")) or re.match(r"[A-Za-z+]+://", line):
        raise NotAllowed(
            f"{where} is a path or an address; name the library and its version, such as scikit-learn==1.3.2."
        )
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        raise NotAllowed(f"{where} is not a requirement; write it as scikit-learn==1.3.2.") from error
    if requirement.url is not None:
        raise NotAllowed(f"{where} names an address; name the library and its version, such as scikit-learn==1.3.2.")
    return requirement


def _of_conda(content: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Return Python's version and the pip part; what conda itself would install is not looked at."""
    python, lines = None, list[str]()
    dependencies = content.get("dependencies") or []
    if not isinstance(dependencies, list):
        raise NotAllowed(f"{_CONDA}: `dependencies` is no list.")
    for each in dependencies:
        if isinstance(each, str) and canonicalize_name(re.split(r"[=<>! ]", each)[0]) == "python":
            python = _python(re.split(r"[=<>!]+", each)[-1].strip())
        elif isinstance(each, dict) and isinstance(each.get("pip"), list):
            lines += [str(line) for line in each["pip"]]
    return python, lines


def _python(said: object) -> str | None:
    found = _VERSION.match(str(said)) if said is not None else None
    return f"{found[1]}.{found[2]}" if found else None


def _mapping(path: Path) -> dict[str, Any]:
    text = _text(path)
    if text is None:
        return {}
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise NotAllowed(f"{path.name} is not YAML that can be read.") from error
    return content if isinstance(content, dict) else {}


def _text(path: Path) -> str | None:
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as stream:
        content = stream.read(_LONGEST + 1)
    if len(content) > _LONGEST:
        raise NotAllowed(f"{path.name} is longer than {_LONGEST >> 10} KiB.")
    # a mark of the byte order, as editors write it, belongs to no name
    return content.decode("utf-8-sig", "replace")


def _shown(line: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in line[:_SHOWN])
