"""Reading the policy file."""

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from mlops_platform.policy.definition import Policy


class PolicyNotValid(ValueError):
    """The policy file cannot be used; the message says where and why."""


@lru_cache(maxsize=8)
def _read(path: Path, _modified: int) -> Policy:
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise PolicyNotValid(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'policy'}: {entry['msg']}" for entry in error.errors()
        )
        raise PolicyNotValid(f"{path}: {problems}") from error


def load(path: Path) -> Policy:
    """Return the policy in a file; read again only when the file changed. Raises PolicyNotValid and OSError."""
    return _read(path, path.stat().st_mtime_ns)
