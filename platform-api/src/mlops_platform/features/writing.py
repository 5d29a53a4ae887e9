"""Writing features: by people of the team that owns a view, each write an event of the audit log."""

import time
from datetime import datetime, timedelta
from typing import Any

from mlops_platform.audit import service as audit
from mlops_platform.audit.actions import Action
from mlops_platform.dependencies import Services
from mlops_platform.errors import Forbidden, Invalid
from mlops_platform.features.interfaces import FeatureStore, FeatureStoreUnavailable, RowsNotValid, View
from mlops_platform.features.schemas import MaterializeResponse, PushRequest, PushResponse
from mlops_platform.features.service import look_for, visible_view
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import may
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.clock import now
from mlops_platform.telemetry import metrics

# the tenant of what no team owns: no token can carry it, so that only a role which reaches every tenant may write there
_NOBODYS = ""
# a caller's clock may run ahead by this much
_AHEAD = timedelta(minutes=10)


class NotYourView(Forbidden):
    """A view that everybody sees is written by its owner only."""

    title = "Another team writes this feature view"

    def __init__(self, name: str, owner: str | None) -> None:
        who = (
            f"people of the tenant '{owner}' with the role ml-engineer write it"
            if owner is not None
            else "it names no owner, so only a platform-admin writes it; its definition's tag 'owner_tenant' names one"
        )
        super().__init__(f"Every team may read '{name}'; {who}.")


class TimeWithoutZone(Invalid):
    """A time must say where it is."""

    def __init__(self) -> None:
        super().__init__("'until' needs an offset, for example 2026-11-01T00:00:00Z.")


class TimeAhead(Invalid):
    """What has not happened cannot be brought online."""

    def __init__(self) -> None:
        super().__init__("'until' lies in the future; rows that arrive before it would never be brought online.")


async def push(services: Services, caller: Principal, body: PushRequest) -> PushResponse:
    """Write fresh rows of a view online, with an audit event; an older event than what is stored changes nothing.

    The event is kept before the rows are written: if the store then fails, the log has an attempt too many and no write too
    few. It has the view and the number of rows, none of their values. Raises FeatureViewNotFound, NotYourView, RowsNotValid,
    KeysNotValid, PushNotPossible and OnlineStoreUnordered.
    """
    store = services.features
    await look_for(store, [body.view])
    view = _writable_view(store, services.authorizer, caller, body.view)
    if len({len(column) for column in body.rows.values()}) != 1:
        raise RowsNotValid("Every column of 'rows' must have the same number of entries.")
    await _record(services, caller, Action.FEATURES_PUSHED, view, {"rows": len(next(iter(body.rows.values())))})
    rows = await store.push(body.view, body.rows)
    metrics.feature_rows_pushed_total.labels(body.view).inc(rows)
    metrics.feature_last_push_timestamp_seconds.labels(body.view).set_to_current_time()
    return PushResponse(rows=rows)


async def materialize(
    services: Services, caller: Principal, names: list[str] | None, until: datetime | None
) -> MaterializeResponse:
    """Bring views online up to a time, with an audit event for each; without names, those the caller may write.

    Raises FeatureViewNotFound, NotYourView, TimeWithoutZone, TimeAhead and OnlineStoreUnordered.
    """
    if until is not None and until.tzinfo is None:
        raise TimeWithoutZone
    if until is not None and until > now() + _AHEAD:
        raise TimeAhead
    store = services.features
    if names is None:
        await store.refresh()
        views = _all_writable(store, services.authorizer, caller)
    else:
        await look_for(store, names)
        views = [_writable_view(store, services.authorizer, caller, name) for name in names]
    moment = until or now()
    for view in views:
        await _record(services, caller, Action.FEATURES_MATERIALIZED, view, {"until": moment.isoformat()})
    began = time.perf_counter()
    try:
        done = await store.materialize([view.name for view in views], moment)
    except FeatureStoreUnavailable:
        metrics.feature_materializations_total.labels("failed").inc()
        metrics.data_pipeline_failures_total.labels("feature-materialization").inc()
        raise
    metrics.feature_materializations_total.labels("ok").inc()
    metrics.feature_materialization_seconds.observe(time.perf_counter() - began)
    return MaterializeResponse(views=done, until=moment)


def _writable_view(store: FeatureStore, authorizer: Authorizer, caller: Principal, name: str) -> View:
    """Return a view the caller may write: the owner decides, who sees it does not. Raises FeatureViewNotFound, NotYourView."""
    view = visible_view(store, may(authorizer, caller, "feature:read"), name)
    # no team owns it: only who may write in every team
    owner = view.writer if view.writer is not None else _NOBODYS
    if not authorizer.allowed(caller, "feature:write", owner):
        raise NotYourView(name, view.writer)
    return view


def _all_writable(store: FeatureStore, authorizer: Authorizer, caller: Principal) -> list[View]:
    may_write = may(authorizer, caller, "feature:write")
    return [view for view in store.views().values() if may_write(_NOBODYS if view.writer is None else view.writer)]


async def _record(services: Services, caller: Principal, action: Action, view: View, details: dict[str, Any]) -> None:
    # a transaction of its own: no lock of the audit log is held while the store writes
    async with services.database.session() as session:
        await audit.record(
            session,
            action=action,
            actor=caller,
            resource=f"feature-view:{view.name}",
            tenant=view.writer or caller.tenant,
            details=details,
        )
