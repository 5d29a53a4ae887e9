"""Reading the policy file."""

import hashlib
from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from mlops_platform.policy.definition import Policy


class PolicyNotValid(ValueError):
    """The policy file cannot be used; the message says where and why."""


@lru_cache(maxsize=8)
def _read(path: Path, content: bytes) -> Policy:
    try:
        said = yaml.safe_load(content)
        if isinstance(said, dict) and "content_hash" in said:
            raise PolicyNotValid(f"{path}: content_hash is computed, not written")
        # what a policy is, is what it says: two files of one version and two contents are two policies
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Policy.model_validate({**said, "content_hash": digest} if isinstance(said, dict) else said)
    except yaml.YAMLError as error:
        raise PolicyNotValid(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, entry['loc'])) or 'policy'}: {entry['msg']}" for entry in error.errors()
        )
        raise PolicyNotValid(f"{path}: {problems}") from error


def load(path: Path) -> Policy:
    """Return the policy in a file, as the file is now; parsed again only when it changed.

    Times of files are no evidence of that: whoever may write one may set them. Raises PolicyNotValid and OSError.
    """
    return _read(path, path.read_bytes())
