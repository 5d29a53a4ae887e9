"""The guide's road on AWS as a person and a CronJob walk it: against an emulated AWS, with a PostgreSQL that is real.

The emulator's instances answer nothing, so the restored database is a real one that a file names: that RDS itself brings rows back
is for the first restore test in a cluster to show.
"""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.interfaces import MirroredEvent
from mlops_platform.audit.schemas import SystemActor
from mlops_platform.backup import cluster_testing
from mlops_platform.backup.cluster_interfaces import CloudUnavailable
from mlops_platform.backup.cluster_restoring import TargetInUse
from mlops_platform.backup.cluster_testing import scratch_instance, try_out
from mlops_platform.backup.restore_tests import newest_good, records
from mlops_platform.database.session import Database
from mlops_platform.kit.clock import now

from .. import emulated_mirror
from .cluster import Cluster

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "disaster-recovery.md"


@pytest.fixture
def cluster(aws: str, request: pytest.FixtureRequest) -> Cluster:
    made = Cluster(aws, f"k{len(request.node.name)}-{os.getpid()}")
    made.make()
    made.put("model", b"bytes of a model")
    return made


async def record(database: Database, count: int) -> None:
    """Record events that are old enough to have certainly been committed at any moment of today."""
    for number in range(count):
        async with database.session() as session:
            await audit.record(
                session,
                action=Action.FEATURES_PUSHED,
                actor=SystemActor("test"),
                resource=f"features:{number}",
                tenant="default",
                details={},
            )
    async with database.session() as session:
        await (await session.connection()).exec_driver_sql("UPDATE audit_heads SET at = at - interval '5 minutes'")


def environment(cluster: Cluster, database_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": cluster.aws,
        "MLOPS_S3_ENDPOINT_URL": cluster.aws,
        "MLOPS_DATABASE_URL": database_url,
        "MLOPS_BACKUP_URI": f"s3://{cluster.backups}/platform",
        "MLOPS_BACKUP_RDS_INSTANCE": cluster.name,
        "MLOPS_BACKUP_KMS_KEY": cluster.key,
        "MLOPS_BACKUP_MLFLOW_URI": cluster.uri,
        "MLOPS_BACKUP_SCRATCH_URI": f"s3://{cluster.name}-scratch/restore-test",
    }


def of_the_guide() -> set[str]:
    """The commands of the guide's section on AWS, without what stands behind them."""
    section = GUIDE.read_text().partition("\n## On AWS\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)
    return {line.partition("#")[0].strip() for block in blocks for line in block.splitlines()}


def mlops(environment: dict[str, str], *arguments: Any, code: int = 0) -> str:
    program = str(Path(sys.executable).with_name("mlops"))
    result = subprocess.run(
        [program, *map(str, arguments)], check=False, capture_output=True, text=True, timeout=240, env=environment
    )
    assert result.returncode == code, f"{arguments}: {result.stdout}{result.stderr}"
    return result.stdout + result.stderr


@pytest.mark.slow
async def test_the_guides_road_on_aws(
    cluster: Cluster, database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked = of_the_guide()
    assert walked == {
        "mlops backup",
        "mlops backup list",
        "mlops backup verify",
        "mlops backup prune --keep 800",
        "mlops restore --instance mlops-restored --target s3://RESTORED_BUCKET/restored",
        "mlops restore --check",
    }, "this test walks these: a new command of the guide is walked too"
    await record(database, 3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", cluster.aws)
    here = environment(cluster, database_url)
    told = json.loads(mlops(here, "backup", "--json"))
    assert (told["audit_head"], told["versions"], told["digests_read"]) == (3, 1, 1)
    assert len(told["signed_by"]) == 64
    assert "S3 has 1 of 1 objects" in mlops(here, "backup", "verify")
    assert len(json.loads(mlops(here, "backup", "list", "--json"))["items"]) == 1
    file = tmp_path / "url"
    file.write_text(database_url)
    reached = ("--database-url-file", file)

    # the monthly test: all is there, a record says so, and nothing of it is left
    tried = json.loads(mlops(here, "restore", "--check", *reached, "--json"))
    assert (tried["compared"], tried["problems"]) == (1, [])
    assert cluster.objects(f"{cluster.name}-scratch") == {}
    assert cluster.state.database.instance(f"{cluster.name}-restore-test") is None
    assert newest_good(cluster.store) is not None

    # a restore, beside what runs; the mirror knows an event that the restored log lost
    mirror = f"{cluster.name}-mirror"
    emulated_mirror.create(cluster.aws, mirror)
    payload = json.dumps(
        {"at": "2026-11-27T08:00:00Z", "action": "deployment:approved", "actor": "x", "tenant": "default"}
    )
    kept = emulated_mirror.Faulty(mirror, cluster.aws)
    for size in range(1, 5):
        event = MirroredEvent(size, "default", "deployments:churn", payload)
        kept.keep([event], SignedHead(size, f"{size:064x}", datetime(2026, 11, 27, tzinfo=UTC), "x"))
    mirrored = {**here, "MLOPS_AUDIT_MIRROR_TABLE": mirror, "MLOPS_AUDIT_MIRROR_BUCKET": mirror}
    into = ("--target", f"s3://{cluster.name}-restored/restored", *reached)
    assert "--instance NAME" in mlops(mirrored, "restore", *into, code=2)
    assert "is the database that runs" in mlops(mirrored, "restore", "--instance", cluster.name, *into, code=2)
    said = mlops(mirrored, "restore", "--instance", f"{cluster.name}-new", *into)
    assert "1 objects copied" in said
    assert "LOST: events 4 to 4" in said
    assert "deployment:approved deployments:churn" in said
    assert cluster.objects(f"{cluster.name}-restored") == {"restored/mlflow/model": b"bytes of a model"}
    assert "is not empty" in mlops(mirrored, "restore", "--instance", f"{cluster.name}-new", *into, code=2)

    # an event that was edited, or is missing: the test fails, and its record is no good one
    before = newest_good(cluster.store)
    url = database_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE audit_events SET payload = payload || ' ' WHERE seq = 2")
    assert "do not give the root" in mlops(here, "restore", "--check", *reached, code=1)
    assert newest_good(cluster.store) == before
    assert not records(cluster.store)[-1].good
    assert "removed 0 backups" in mlops(here, "backup", "prune", "--keep", 800)


def test_a_restore_test_that_died_is_cleared_and_one_that_runs_is_left_alone(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, state = cluster.take().manifest, cluster.state
    target, scratch = scratch_instance(state), f"s3://{cluster.name}-scratch/x"

    def attempt() -> cluster_testing.Tried:
        return try_out(state, cluster.reader, manifest, scratch, sample=5, look=lambda _: [], pause=lambda: None)

    running = f"restore-test@{(now() - timedelta(hours=1)).isoformat()}"
    state.database.begin_restore(target, manifest.database, manifest.database.moment, running)
    with pytest.raises(TargetInUse, match="is running"):
        attempt()
    found = state.database.instance(target)
    assert found is not None, "the one that runs keeps its instance"
    assert found.mark == running
    monkeypatch.setattr(cluster_testing, "_LONGEST", timedelta(minutes=30))
    assert attempt().problems == ()
    assert state.database.instance(target) is None
    state.database.begin_restore(target, manifest.database, manifest.database.moment, "of somebody")
    with pytest.raises(TargetInUse, match="no restore test made"):
        attempt()


def test_what_a_failing_restore_test_made_is_removed(cluster: Cluster) -> None:
    manifest, state = cluster.take().manifest, cluster.state

    def look(_: Any) -> list[str]:
        raise RuntimeError("the database does not answer")

    with pytest.raises(RuntimeError, match="does not answer"):
        try_out(state, cluster.reader, manifest, f"s3://{cluster.name}-scratch/x", sample=5, look=look)
    assert state.database.instance(scratch_instance(state)) is None
    assert cluster.objects(f"{cluster.name}-scratch") == {}


def test_a_scratch_instance_that_stays_is_said(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, state = cluster.take().manifest, cluster.state

    def away(*_: Any) -> None:
        raise CloudUnavailable("RDS is away")

    monkeypatch.setattr(type(state.database), "remove", away)
    tried = try_out(state, cluster.reader, manifest, f"s3://{cluster.name}-scratch/x", sample=5, look=lambda _: [])
    assert [problem for problem in tried.problems if "costs money: RDS is away" in problem]
