"""The libraries of a model that has its own, brought from S3 into a pod before its model server starts."""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from model_server.fetch.s3 import Reader
from model_server.libraries.archive import unpack
from model_server.libraries.packed import PACKED, Packed, read
from model_server.refusals import Refused
from model_server.trust.statement import Statement


@dataclass(frozen=True)
class Libraries:
    """Brings what a statement names, once: `bundle` and `archives` are addresses of S3, `root` the folder to unpack to."""

    reader: Reader
    bundle: str
    archives: str
    root: Path

    def bring(self, statement: Statement) -> None:
        """Unpack the archive that a verified statement agrees to, unless it was; nothing when the model has none.

        Raises NotRead; Refused when what S3 holds is something else, and `no_room` when it does not fit.
        """
        wanted = statement.files.get(PACKED)
        if wanted is None:
            return
        said = self.reader.read(f"{self.bundle}/{PACKED}")
        if hashlib.sha256(said).hexdigest() != wanted:
            raise Refused("digest_mismatch", f"'{PACKED}' is not the file that was approved; the bundle was changed.")
        packed = read(said)
        # it came into being by one rename
        if not (self.root / packed.name).is_dir():
            try:
                self._bring(packed)
            except OSError as error:
                raise Refused("no_room", f"The libraries of this model cannot be written: {error.strerror}.") from error

    def _bring(self, packed: Packed) -> None:
        for left in self.root.glob(".fetched-*"):
            left.unlink()
        if shutil.disk_usage(self.root).free < packed.size + packed.unpacked:
            need = (packed.size + packed.unpacked) >> 20
            raise Refused("no_room", f"The libraries of this model need {need:,} MiB, and there is less.")
        with tempfile.NamedTemporaryFile(prefix=".fetched-", dir=self.root) as archive:
            self.reader.download(f"{self.archives}/{packed.key}", archive, packed.size)
            archive.flush()
            unpack(Path(archive.name), packed, self.root)
