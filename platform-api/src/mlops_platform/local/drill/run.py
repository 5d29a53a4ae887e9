"""Drills: kill a platform under load and compare what its client was told with what is there afterwards."""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog
from mlops_platform.adapters.local.backup_folder import BackupFolder
from mlops_platform.backup.reading import Reader
from mlops_platform.backup.sealing import Opener, Seal, new_identity
from mlops_platform.kit.clock import now
from mlops_platform.local import backup_keys
from mlops_platform.local.backing_up import Place, back_up
from mlops_platform.local.drill.client import MODEL, Client, Load, wait_until
from mlops_platform.local.drill.journal import Acknowledged, Compared, Drill, compare
from mlops_platform.local.drill.subject import PARTS, DidNotStart, Subject, scratch
from mlops_platform.local.home import Home
from mlops_platform.local.postgres import EmbeddedPostgres
from mlops_platform.local.restoring import restore

_LIVE_SECONDS = 300
_BACK_SECONDS = 240
Settle = Callable[[Home, EmbeddedPostgres, str, datetime], None]


@dataclass
class Ground:
    """A platform with a live model, and the deployment of it."""

    folder: Path
    subject: Subject
    client: Client
    deployment: str


@contextmanager
def ground(folder: Path, say: Callable[[str], None]) -> Iterator[Ground]:
    """Start a scratch platform with one live model below `folder`; it is ended at the end. Raises DidNotStart, NoAnswer."""
    subject = Subject(scratch(folder) / "home")
    made = Ground(folder, subject, None, "")  # type: ignore[arg-type]  # its client needs the running platform's address
    try:
        say("starting a scratch platform")
        subject.up()
        made.client = Client(subject.home, subject.options.url)
        say("putting a model on it")
        _register(subject.options.mlflow_url)
        made.deployment = made.client.deploy()
        wait_until(lambda: made.client.predict() is not None, _LIVE_SECONDS, "the drill's model answering")
        yield made
    finally:
        # whichever it is by then: a lost disk leaves a restored one
        made.subject.down()


def crash(on: Ground, part: str, seconds: float) -> Drill:
    """Kill a part at a random moment under load; what was acknowledged must be there when it is back. RPO 0."""
    load = Load(on.client, on.deployment)
    load.start()
    try:
        time.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311 - a moment, not a secret
        processes = on.subject.kill(part)
        killed, at = time.monotonic(), time.time()
        if part in {"supervisor", "everything"}:
            wait_until(lambda: not on.subject.runs(), 60, "the end of what was left")
            on.subject.up()

        def is_back() -> bool:
            answered = min(load.last("prediction"), load.last("operation"))
            return answered > at and on.subject.is_whole(processes)

        wait_until(is_back, _BACK_SECONDS, f"the return of {part}")
        took = time.monotonic() - killed
        time.sleep(1)
    finally:
        load.stop()
    found = compare(load.written, _there(on.subject.home, on.client, load.written), None)
    return _drill(f"kill -9 {part}", found, load, on.client, [head for _, head in load.heads[-1:]], 0.0, took)


def lost_disk(on: Ground, seconds: float, settle: Settle) -> Drill:
    """Take a backup under load, lose everything after it, and restore elsewhere. RPO: what came after the backup's moment."""
    load = Load(on.client, on.deployment)
    place = BackupFolder(on.folder / "backups")
    identity, recipient = new_identity()
    load.start()
    try:
        time.sleep(seconds / 2)
        home = on.subject.home
        server = EmbeddedPostgres(home.folder / "postgres", int((home.run / "postgres-port").read_text()))
        seal = Seal(recipient, recipient.encode())
        signer = backup_keys.signer(home)
        taken = back_up(home, server, Place(str(on.folder / "backups"), place, place), seal, signer)
        time.sleep(seconds / 2)
    finally:
        load.stop()
    on.subject.kill("everything")
    lost_at, killed = now(), time.monotonic()
    wait_until(lambda: not on.subject.runs(), 60, "the end of what was left")
    shutil.rmtree(on.subject.home.folder)
    on.subject = Subject(on.folder / f"restored-{time.monotonic_ns()}")
    moment = taken.manifest.database.at
    restore(
        on.subject.home,
        Reader(place, Opener(identity), signer.fingerprint),
        taken.manifest.id,
        after=lambda server, manifest: settle(on.subject.home, server, manifest.id, moment),
    )
    on.subject.up()
    on.client = Client(on.subject.home, on.subject.options.url)
    wait_until(lambda: on.client.predict() is not None, _BACK_SECONDS, "an answer of the restored platform")
    took = time.monotonic() - killed
    shutil.rmtree(on.folder / "backups")
    found = compare(load.written, _there(on.subject.home, on.client, load.written), moment)
    # a head's own time is from before its commit: only what was seen before the backup's moment must be in it
    kept = [head for seen, head in load.heads if seen <= moment][-1:]
    return _drill("lost disk", found, load, on.client, kept, (lost_at - moment).total_seconds(), took)


def points(crashes: int) -> list[str]:
    """Return what to kill: every part once, then parts at random."""
    return [*PARTS[:crashes], *(random.choice(PARTS) for _ in range(crashes - len(PARTS)))]  # noqa: S311 - no secret


def _register(tracking_uri: str) -> None:
    """Let a process of its own log the model: training libraries are in no image that the command line is in."""
    command = [sys.executable, "-m", "mlops_platform.adapters.mlflow.drill_model", tracking_uri, MODEL]
    result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_LIVE_SECONDS)
    if result.returncode:
        raise DidNotStart(f"the drill's model could not be registered: {result.stderr.strip()[-500:]}")


def _there(home: Home, client: Client, written: list[Acknowledged]) -> set[str]:
    """Return what of a journal is there: operations in the audit log, predictions in their log."""
    log = DeltaPredictionLog(home.folder / "predictions")
    found = {one.key for one in written if one.kind == "prediction" and log.find(one.key) is not None}
    return found | client.reasons()


def _drill(
    point: str, found: Compared, load: Load, client: Client, kept: list[dict[str, object]], rpo: float, took: float
) -> Drill:
    problems = [sentence for head in kept for sentence in client.broken_promises(head)]
    again = client.predict()
    # the sample is one row, so every answer is the same
    if again is None or any(answer != again[1] for answer in load.answers):
        problems.append("the same row is answered otherwise than before")
    verification = client.verification()
    if not verification.get("intact"):
        problems.append(f"the audit log does not verify: {verification.get('problems') or verification}")
    return Drill(point, found.demanded, len(found.missing), found.excused, rpo, round(took, 1), tuple(problems))


__all__ = ["DidNotStart", "crash", "ground", "lost_disk", "points"]
