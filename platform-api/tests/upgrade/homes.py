"""Homes that earlier versions left: a throw-away platform with one live model each, as two dumps and the files that count.

`b4cd17e` and `5915d22` are the commits whose program made them. Their keys were made for this and sign nothing else.
"""

import os
import subprocess
import tarfile
from pathlib import Path

from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres, program

FOLDER = Path(__file__).parent
COMMITS = ("b4cd17e", "5915d22")


def unpack(commit: str, folder: Path) -> Home:
    """Unpack the files of a home, without its database."""
    with tarfile.open(FOLDER / f"{commit}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    for key in (folder / "keys").iterdir():
        key.chmod(0o600)
    return Home(folder)


def load(home: Home, server: EmbeddedPostgres, dump: str, database: str) -> None:
    """Load one of the home's dumps into a database."""
    server.ensure_database(database)
    command = [program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={server.url(database, 'postgresql')}"]
    with (home.folder / f"{dump}.sql").open() as lines:
        subprocess.run(command, stdin=lines, stdout=subprocess.DEVNULL, check=True, env={"PATH": os.environ["PATH"]})
