"""How fresh the online store is."""

from mlops_platform.dependencies import Services
from mlops_platform.kit.clock import now
from mlops_platform.kit.jobs import Job
from mlops_platform.telemetry import metrics
from mlops_platform.telemetry.gauges import Family

_AGE = Family(metrics.feature_view_age_seconds)
_TTL = Family(metrics.feature_view_ttl_seconds)


async def measure(services: Services) -> None:
    """Show the age of every view that was ever brought online, and how old its values may be.

    The age is that of the last materialisation. Rows pushed since are counted by who took them
    (`feature_last_push_timestamp_seconds`); the alert looks at both.
    """
    await services.features.refresh()
    done = await services.features.materialized()
    views = services.features.views()
    at = now()
    metrics.feature_views.set(len(views))
    _AGE.replace({(name,): max(0.0, (at - moment).total_seconds()) for name, moment in done.items() if moment})
    _TTL.replace({(name,): view.ttl_seconds for name, view in views.items() if view.ttl_seconds})


JOBS = (Job("feature-metrics", 15, measure, exclusive=False),)
