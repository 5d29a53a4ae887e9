"""Reading the policy file."""

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from mlops_platform.errors import Unavailable
from mlops_platform.policy.definition import Policy

_ASK = "Nothing was changed; an administrator mends the file."


class PolicyNotValid(Unavailable):
    """The policy file cannot be used; the message says where and why. Nothing is decided without it."""

    title = "The policy file cannot be used"


@lru_cache(maxsize=8)
def _read(path: Path, _modified: int) -> Policy:
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise PolicyNotValid(f"{path.name} (MLOPS_POLICY_FILE) is not YAML: {_place(error)}. {_ASK}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'policy'}: {entry['msg']}" for entry in error.errors()
        )
        raise PolicyNotValid(f"{path.name} (MLOPS_POLICY_FILE): {problems}. {_ASK}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> PolicyNotValid:
    return PolicyNotValid(f"{path.name} (MLOPS_POLICY_FILE) cannot be read. {_ASK}")


def _place(error: yaml.YAMLError) -> str:
    """Say where, without repeating the file."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "it cannot be parsed"


def load(path: Path) -> Policy:
    """Return the policy in a file; read again only when the file changed. Raises PolicyNotValid."""
    try:
        modified = path.stat().st_mtime_ns
    except OSError as error:
        raise _unreadable(path) from error
    return _read(path, modified)
