"""`mlops upgrade`."""

from typing import Annotated

import typer

from mlops_platform.cli.api import connection
from mlops_platform.cli.database import bring_to_newest, reachable_database, refuse_unfinished
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import HomeOption, Json, show
from mlops_platform.local.home import Home


def upgrade(
    back: Annotated[
        bool, typer.Option("--back", help="Take the schema back by one version, before the program of before starts.")
    ] = False,
    home: HomeOption = None,
    _json: Json = False,
) -> None:
    """Bring a stopped home to this program's version, or its schema back by one; `mlops up` does the first by itself.

    Refuses a home that runs and a home that a newer program wrote. Take a backup before: what only the newer version keeps is
    gone after --back.
    """
    place = Home.at(home or connection.home)
    refuse_unfinished(place)
    if place.held():
        raise CommandFailed(Exit.PROBLEM, f"a platform runs in {place.folder}", f"mlops down --home {place.folder}")
    before, after = _back(place) if back else bring_to_newest(place)
    sentence = (
        f"the schema is at version {after}" if before == after else f"the schema went from version {before} to {after}"
    )
    show({"before": before, "after": after}, sentence)


def _back(place: Home) -> tuple[str, str]:
    from mlops_platform.database import migrate

    with reachable_database(place) as url:
        try:
            return migrate.back(url)
        except (migrate.SchemaTooNew, LookupError) as error:
            raise CommandFailed(Exit.PROBLEM, str(error)) from error
