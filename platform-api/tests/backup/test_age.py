"""The worker shows how old the newest finished backup is, and nothing where no place is named."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import REGISTRY

from mlops_platform.adapters.local.backup_folder import BackupFolder
from mlops_platform.backup.jobs import measure
from mlops_platform.backup.restore_tests import RestoreTest, keep
from mlops_platform.bootstrap import BuiltServices


def shown(place: str) -> float | None:
    return REGISTRY.get_sample_value("backup_newest_timestamp_seconds", {"place": place})


async def test_the_newest_finished_backup_is_shown(services: BuiltServices, tmp_path: Path) -> None:
    await measure(services)
    assert shown("") is None
    place, store = str(tmp_path), BackupFolder(tmp_path)
    settings = services.settings.model_copy(update={"backup_uri": place})
    named = replace(services, settings=settings, backups=store)
    await measure(named)
    assert shown(place) == 0, "none at all is as bad as an old one"
    for name in ("20261127T080000Z-0a1b2c3d.manifest", "20261126T080000Z-0a1b2c3d.manifest"):
        store.put(f"backups/{name}", b"sealed")
    store.put("backups/20261128T080000Z-0a1b2c3d.index", b"of one that was not finished")
    await measure(named)
    assert shown(place) == 1_795_766_400


async def test_only_a_good_restore_test_counts(services: BuiltServices, tmp_path: Path) -> None:
    store = BackupFolder(tmp_path)
    settings = services.settings.model_copy(update={"backup_uri": str(tmp_path)})
    named = replace(services, settings=settings, backups=store)

    def tried() -> float | None:
        return REGISTRY.get_sample_value("backup_restore_test_timestamp_seconds", {"place": str(tmp_path)})

    await measure(named)
    assert tried() == 0, "never is as bad as long ago"
    at = datetime(2026, 11, 27, 8, tzinfo=UTC)
    keep(store, RestoreTest(at, "20261127T080000Z-0a1b2c3d", good=True), {})
    keep(store, RestoreTest(at + timedelta(days=1), "20261127T080000Z-0a1b2c3d", good=False), {"problems": ["x"]})
    store.put("tests/anything", b"else")
    await measure(named)
    assert tried() == at.timestamp()
