"""Keep a pod's statement of approval and list of withdrawn approvals fresh: `python -m model_server.fetch --into DIR`.

Before the first list it brings the libraries of a model that has its own: MODEL_SERVER_BUNDLE_URI and MODEL_SERVER_LIBRARIES_URI
say from where, MODEL_SERVER_LIBRARIES_FOLDER where to. For the container beside a model server, which opens no connection itself. MODEL_SERVER_STATEMENT_URI and
MODEL_SERVER_REVOCATIONS_URI say where (s3://bucket/key), MODEL_SERVER_STATEMENT the file's name, MODEL_SERVER_PUBLIC_KEYS
holds the keys. Written is only what these keys signed; the list comes last and its number never goes back. When S3 is away
what was fetched stays; the server knows its age.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from model_server.fetch.libraries import Libraries
from model_server.fetch.s3 import NotRead, Reader
from model_server.refusals import Refused
from model_server.serve import variables
from model_server.trust.envelope import PublicKeys
from model_server.trust.revocations import LIST, may_follow, read_revocations
from model_server.trust.statement import read_statement

_EVERY_SECONDS, _FIRST_SECONDS = 60.0, 2.0
logger = logging.getLogger("model_server.fetch")


class Fetcher:
    """Fetches two objects into one folder."""

    def __init__(
        self,
        reader: Reader,
        statement: tuple[str, str],
        revocations: str,
        keys: PublicKeys,
        into: Path,
        libraries: Libraries | None = None,
    ) -> None:
        """`statement`: its address and the name of its file."""
        self._libraries = libraries
        self._reader = reader
        self._statement = statement
        self._revocations = revocations
        self._keys = keys
        self._into = into

    def once(self) -> bool:
        """Fetch both; return whether both are there now, be it from before. Never raises for what S3 holds or says.

        The list, which the model server waits for, is not there before the libraries are.
        """
        address, name = self._statement
        try:
            self._fetch_statement(address, self._into / name)
            self._fetch_list(self._into / LIST)
        except NotRead as error:
            logger.warning("not fetched now: %s", error)
        except Refused as refusal:
            logger.error("not taken: %s", refusal.sentence)  # noqa: TRY400 - the reason is the message
        return (self._into / name).exists() and (self._into / LIST).exists()

    def _fetch_statement(self, address: str, path: Path) -> None:
        envelope = self._reader.read(address)
        statement = read_statement(envelope, self._keys)
        _replace(path, envelope)
        if self._libraries is not None:
            self._libraries.bring(statement)

    def _fetch_list(self, path: Path) -> None:
        envelope = self._reader.read(self._revocations)
        fresh = read_revocations(envelope, self._keys)
        if may_follow(fresh, read_revocations(path.read_bytes(), self._keys) if path.exists() else None):
            _replace(path, envelope)
        else:
            logger.error("not taken: the number of the list is lower than that of the last one")


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


def _libraries(reader: Reader, said: Mapping[str, str]) -> Libraries | None:
    folder = said.get(variables.LIBRARIES)
    if folder is None:
        return None
    return Libraries(reader, said[variables.BUNDLE_URI], said[variables.LIBRARIES_URI], Path(folder))


def main(arguments: list[str] | None = None) -> int:
    """Fetch until SIGTERM: often until both are there, then every minute."""
    parser = argparse.ArgumentParser(prog="model_server.fetch", description=__doc__)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--every-seconds", type=float, default=_EVERY_SECONDS)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    said = os.environ
    reader = Reader(said)
    fetcher = Fetcher(
        reader,
        (said[variables.STATEMENT_URI], Path(said[variables.STATEMENT]).name),
        said[variables.REVOCATIONS_URI],
        PublicKeys.from_pem(said[variables.KEYS].encode()),
        options.into,
        _libraries(reader, said),
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while True:
        there = fetcher.once()
        if stop.wait(options.every_seconds if there else min(_FIRST_SECONDS, options.every_seconds)):
            return 0


if __name__ == "__main__":
    sys.exit(main())
