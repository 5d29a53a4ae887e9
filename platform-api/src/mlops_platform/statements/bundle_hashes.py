"""What a statement names: every file of a bundle, and the root digest its OpenSSF signature covers."""

import base64
import json
from pathlib import Path

from mlops_platform.builds.interfaces import RECENT_INPUTS, SIGNATURE
from mlops_platform.kit.digests import file_sha256, plain_files

_STATEMENT = "statement-"


def statement_file(revision_id: str) -> str:
    """Return the name of a revision's statement beside its bundle."""
    return f"{_STATEMENT}{revision_id}.json"


def hashes(bundle: Path) -> dict[str, str]:
    """Return the hex SHA-256 of every file that may be served. Blocking. Raises UnsafeArtifactTree.

    Left out is what is kept beside a bundle and changes: statements, and recent inputs, which only ever travel with a request.
    """
    return {
        name: file_sha256(path)
        for name, path in plain_files(bundle)
        if not name.startswith((_STATEMENT, ".")) and name != RECENT_INPUTS
    }


def signed_root(bundle: Path) -> str | None:
    """Return the digest that OpenSSF Model Signing put its signature on (hex), None when there is no signature."""
    try:
        envelope = json.loads((bundle / SIGNATURE).read_text())["dsseEnvelope"]
        subjects = json.loads(base64.b64decode(envelope["payload"]))["subject"]
        return str(subjects[0]["digest"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
