"""How old the newest backup is: an alert watches it."""

import anyio

from mlops_platform.backup.reading import backups
from mlops_platform.dependencies import Services
from mlops_platform.kit.jobs import Job
from mlops_platform.telemetry import metrics


async def measure(services: Services) -> None:
    """Show when the newest finished backup was begun; nothing when no setting says where backups are.

    Raises BackupStoreUnavailable: then the age goes on growing from the last look.
    """
    if services.backups is None:
        return
    found = await anyio.to_thread.run_sync(backups, services.backups)
    newest = found[-1].at.timestamp() if found else 0.0
    metrics.backup_newest_timestamp_seconds.labels(services.settings.backup_uri or "").set(newest)


JOBS = (Job("backup-age", 300, measure, exclusive=False),)
