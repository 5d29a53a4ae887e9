"""Comparing a base backup with the manifest that PostgreSQL wrote beside it: every file, its size and its SHA-256.

What `pg_verifybackup` does; the one of the wheel ends with a segmentation fault.
"""

import hashlib
import json
from pathlib import Path

from mlops_platform.kit.digests import file_sha256

MANIFEST = "backup_manifest"
_LAST = b'"Manifest-Checksum"'


def problems(base: Path) -> list[str]:
    """Return what does not hold, at most the first ten; empty when the copy is what the server sent."""
    content = (base / MANIFEST).read_bytes()
    told = json.loads(content)
    # the checksum covers everything before its own line
    covered = content[: content.rindex(_LAST)]
    found = [] if hashlib.sha256(covered).hexdigest() == told["Manifest-Checksum"] else ["the manifest was changed"]
    listed = {MANIFEST}
    for one in told["Files"]:
        name = one["Path"] if "Path" in one else bytes.fromhex(one["Encoded-Path"]).decode(errors="surrogateescape")
        listed.add(name)
        path = base / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != one["Size"] or file_sha256(path) != one["Checksum"]:
            found.append(f"{name} was changed")
    there = {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()}
    # the log is no part of a manifest
    found += [f"{name} is not in the manifest" for name in sorted(there - listed) if not name.startswith("pg_wal/")]
    return found[:10]
