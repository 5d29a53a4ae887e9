"""Reading the policy file."""

import hashlib
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
def _read(path: Path, content: bytes) -> Policy:
    try:
        said = yaml.safe_load(content)
        if isinstance(said, dict) and "content_hash" in said:
            raise PolicyNotValid(f"{path.name} (MLOPS_POLICY_FILE): content_hash is computed, not written. {_ASK}")
        # what a policy is, is what it says: two files of one version and two contents are two policies
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Policy.model_validate({**said, "content_hash": digest} if isinstance(said, dict) else said)
    except yaml.YAMLError as error:
        raise PolicyNotValid(f"{path.name} (MLOPS_POLICY_FILE) is not YAML: {_place(error)}. {_ASK}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'policy'}: {entry['msg']}" for entry in error.errors()
        )
        raise PolicyNotValid(f"{path.name} (MLOPS_POLICY_FILE): {problems}. {_ASK}") from error


def _place(error: yaml.YAMLError) -> str:
    """Say where, without repeating the file."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "it cannot be parsed"


def load(path: Path) -> Policy:
    """Return the policy in a file, as the file is now; parsed again only when it changed.

    Times of files are no evidence of that: whoever may write one may set them. Raises PolicyNotValid.
    """
    try:
        content = path.read_bytes()
    except PermissionError as error:
        raise PolicyNotValid(
            f"{path.name} (MLOPS_POLICY_FILE) may not be read by this process. If it was replaced and lies directly above the home, "
            f"start the platform again, or put it into a folder of its own. {_ASK}"
        ) from error
    except OSError as error:
        raise PolicyNotValid(f"{path.name} (MLOPS_POLICY_FILE) cannot be read. {_ASK}") from error
    return _read(path, content)
