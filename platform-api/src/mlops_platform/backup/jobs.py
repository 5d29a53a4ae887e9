"""How old the newest backup and the last good restore test are: alerts watch both."""

import anyio

from mlops_platform.backup.reading import backups
from mlops_platform.backup.restore_tests import newest_good
from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job
from mlops_platform.telemetry import metrics


async def measure(services: Services) -> None:
    """Show when the newest finished backup was begun, and when a restore was last tried out with success.

    Nothing when no setting says where backups are. Raises BackupStoreUnavailable: then both ages go on growing from the last look.
    """
    if services.backups is None:
        return
    found = await anyio.to_thread.run_sync(backups, services.backups)
    newest = found[-1].at.timestamp() if found else 0.0
    place = services.settings.backup_uri or ""
    metrics.backup_newest_timestamp_seconds.labels(place).set(newest)
    tried = await anyio.to_thread.run_sync(newest_good, services.backups)
    metrics.backup_restore_test_timestamp_seconds.labels(place).set(tried.timestamp() if tried else 0.0)


JOBS = (Job("backup-age", 300, measure, exclusive=False),)
