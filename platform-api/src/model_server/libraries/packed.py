"""Which archive an environment was packed to, for machines that have no store: a tar, compressed, named by its digest.

A bundle says in `environment.packed.json` which archive is its own. That file is a file of the bundle like any other: the statement
of approval names its digest, so that whoever unpacks an archive knows that these bytes were agreed to.
"""

import json
from dataclasses import asdict, dataclass

from model_server.libraries.found import NAME
from model_server.refusals import Refused

PACKED = "environment.packed.json"
ENDING = ".tar.zst"
# beside the file that is read: what no honest description needs
_LONGEST_DESCRIPTION = 4_096


@dataclass(frozen=True)
class Packed:
    """One archive: the environment's name, the archive's hex SHA-256, its length, and the bytes it unpacks to."""

    name: str
    sha256: str
    size: int
    unpacked: int

    @property
    def key(self) -> str:
        """Where it lies below the folder of archives."""
        return f"{self.name}/{self.sha256}{ENDING}"

    def as_json(self) -> bytes:
        """Return what is kept with a bundle."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def read(content: bytes) -> Packed:
    """Return what a bundle says of its archive. Raises Refused `bad_bundle`."""
    try:
        said = json.loads(content) if len(content) <= _LONGEST_DESCRIPTION else {}
        packed = Packed(str(said["name"]), str(said["sha256"]), int(said["size"]), int(said["unpacked"]))
        plain = NAME.fullmatch(packed.name) and NAME.fullmatch(packed.sha256) and packed.size > 0 <= packed.unpacked
    except (ValueError, KeyError, TypeError):
        plain = None
    if not plain:
        raise Refused("bad_bundle", f"'{PACKED}' does not say which libraries the model is loaded in.")
    return packed
