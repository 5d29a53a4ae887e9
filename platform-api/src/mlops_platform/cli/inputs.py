"""JSON given on the command line: as text, as @file, or as @- for standard input."""

import json
import sys
from pathlib import Path
from typing import Any

from mlops_platform.cli.exits import CommandFailed, Exit


def read_json(text: str, option: str) -> Any:
    """Return the value. Raises CommandFailed (2) when it cannot be read."""
    source = text
    if text.startswith("@"):
        try:
            source = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text()
        except OSError as error:
            raise CommandFailed(Exit.USAGE, f"{option}: {text[1:]} cannot be read ({error.strerror})") from error
    try:
        return json.loads(source)
    except json.JSONDecodeError as error:
        raise CommandFailed(
            Exit.USAGE,
            f"{option} is not JSON: {error.msg} at character {error.pos}",
            f"give JSON, {option} @file, or @-",
        ) from error


def read_pairs(texts: list[str], option: str) -> dict[str, str]:
    """Return NAME=VALUE texts as a dictionary. Raises CommandFailed (2) for anything else."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise CommandFailed(Exit.USAGE, f"{option} takes NAME=VALUE, not '{text}'")
        pairs[name] = value
    return pairs
