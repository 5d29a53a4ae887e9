"""`mlops drill`."""

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_platform.cli.backup import said
from mlops_platform.cli.exits import CommandFailed, Exit
from mlops_platform.cli.output import Json, say, show
from mlops_platform.cli.restore import settled

if TYPE_CHECKING:
    from datetime import datetime

    from mlops_platform.local.drill.journal import Drill
    from mlops_platform.local.home import Home
    from mlops_platform.local.postgres import EmbeddedPostgres


def drill(
    crashes: Annotated[int, typer.Option(min=0, help="How often to kill -9: each part once, then at random.")] = 8,
    lost_disks: Annotated[int, typer.Option(min=0, help="How often to lose the disk and restore elsewhere.")] = 1,
    seconds: Annotated[float, typer.Option(min=1, help="Load before each kill.")] = 6,
    record: Annotated[
        Path | None,
        typer.Option(help="Guide whose last table gets a row, as docs/guides/disaster-recovery.md.", dir_okay=False),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the scratch platform lies (default: a temporary folder).")
    ] = None,
    _json: Json = False,
) -> None:
    """Prove that nothing acknowledged is lost: kill a scratch platform under load, restore it elsewhere, and compare.

    A client keeps a journal of what it was told is done. Afterwards every line of it must be there, the same row must get the same
    answer, and the audit log must verify and continue the head that the client kept. Your own platform is not touched.
    """
    from httpx import HTTPError

    from mlops_platform.local.drill import run
    from mlops_platform.local.drill.client import NoAnswer

    # the scratch platform is the default one: no setting of this shell leads it to somebody's database or mirror
    for name in [name for name in os.environ if name.startswith("MLOPS_")]:
        del os.environ[name]
    done: list[Drill] = []
    with tempfile.TemporaryDirectory(prefix="mlops-drill-") as made, said():
        try:
            place = folder or Path(made)
            # where MLflow's client of this process finds its token
            os.environ["MLOPS_HOME"] = str(place / "home")
            with run.ground(place, say) as on:
                done += map(_told, (run.crash(on, part, seconds) for part in run.points(crashes)))
                done += map(_told, (run.lost_disk(on, seconds, _settle) for _ in range(lost_disks)))
        except (run.DidNotStart, NoAnswer, HTTPError) as failed:
            raise CommandFailed(
                Exit.PROBLEM, f"the drill did not get through: {failed}", "see `mlops doctor`"
            ) from failed
    if record is not None and done:
        _record(record, done)
    failed_ones = [one for one in done if not one.passed]
    missing = sum(one.missing for one in done)
    show(
        {"drills": [asdict(one) for one in done], "missing": missing, "passed": not failed_ones},
        f"{len(done)} drills: {missing} of {sum(one.demanded for one in done)} acknowledged writes are missing",
    )
    if failed_ones:
        raise CommandFailed(
            Exit.PROBLEM, f"{len(failed_ones)} of {len(done)} drills failed", "the lines above say at which point"
        )


def _told(one: "Drill") -> "Drill":
    verdict = "passed" if one.passed else "FAILED"
    excused = f", {one.excused} newer than the backup are lost as promised" if one.excused else ""
    say(
        f"{verdict}  {one.point:<22} {one.demanded - one.missing} of {one.demanded} acknowledged writes are there{excused}; "
        f"back after {one.rto_seconds:g} s"
    )
    for problem in one.problems:
        say(f"        {problem}")
    return one


def _settle(home: "Home", server: "EmbeddedPostgres", backup: str, moment: "datetime") -> None:
    settled(home, server, backup, moment)


def _record(page: Path, done: "list[Drill]") -> None:
    from mlops_platform.kit.clock import now
    from mlops_platform.local.drill.journal import row, with_row

    text = page.read_text()
    kinds = {
        "kill -9": [one for one in done if one.point != "lost disk"],
        "lost disk": [one for one in done if one.point == "lost disk"],
    }
    for what, drills in kinds.items():
        if drills:
            text = with_row(text, row(f"{now():%Y-%m-%d}", drills, what, "`mlops drill`"))
    page.write_text(text)
