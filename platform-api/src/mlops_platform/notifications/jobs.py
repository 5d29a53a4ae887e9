"""Spreading notices, sending copies, showing what waits, forgetting what is old."""

from mlops_platform.dependencies import Services
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.notifications import delivering, service, spreading
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family

_WAITING = Family(metrics.notices_waiting, gone=0)
_DEAD = Family(metrics.notices_dead, gone=0)
_AWAY = Family(metrics.notice_channel_away_seconds, gone=0)


async def _spread(services: Services) -> None:
    while await spreading.spread(services.database, services.channels.channels(), services.settings.url):
        pass


async def _deliver(services: Services) -> None:
    await delivering.deliver(services.database, services.channels.channels(), services.settings.url)


async def _measure(services: Services) -> None:
    async with services.database.read_session() as session:
        found = await service.channel_views(session)
    _WAITING.replace({(view.channel,): view.waiting for view in found})
    _DEAD.replace({(view.channel,): view.dead for view in found})
    away = {(view.channel,): (now() - view.away_since).total_seconds() for view in found if view.away_since}
    _AWAY.replace(away)


async def _forget(services: Services) -> None:
    async with services.database.session() as session:
        await spreading.forget(session)


JOBS = (
    Job("notices", 1, _spread),
    # copies are leased in the database: several workers share them
    Job("notice-deliveries", 1, _deliver, exclusive=False),
    Job("notice-metrics", 10, _measure, exclusive=False),
    Job("forgotten-notices", 3_600, _forget),
)
