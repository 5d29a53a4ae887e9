"""Forgetting whose pseudonym it is, for whoever may forget people of every team it acted in."""

from sqlalchemy import func, select

from mlops_platform.audit import service
from mlops_platform.audit.schemas import ErasedIdentity
from mlops_platform.audit.tables import AuditEventRow
from mlops_platform.database.session import Session
from mlops_platform.errors import NotFound
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import demand
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.subjects import SubjectNotUsable, normalised

_ACTION = "identity:erase"


class PersonNotFound(NotFound):
    """The log knows nobody by this name."""

    def __init__(self) -> None:
        # the name is not repeated: what is answered may be logged on its way
        super().__init__(
            "The audit log knows nobody by this name. `mlops audit list` shows names as the log has them; an erased person is shown by a "
            "pseudonym."
        )


async def erase(session: Session, authorizer: Authorizer, caller: Principal, subject: str) -> ErasedIdentity:
    """Forget a person and record that. Raises PersonNotFound, and NotPermitted for a person who acted in another's team.

    Again is no harm: the erasure is recorded once more.
    """
    try:
        person = normalised(subject)
    except SubjectNotUsable as error:
        raise PersonNotFound from error
    name = service.audit_log(session).pseudonym(person)
    acted = (
        select(AuditEventRow.tenant, func.count().label("events"))
        .where(AuditEventRow.actor == name)
        .group_by(AuditEventRow.tenant)
    )
    tenants = {row.tenant: row.events for row in await session.execute(acted)}
    for tenant in tenants or {caller.tenant: 0}:
        demand(authorizer, caller, _ACTION, tenant)
    if not await service.erase_identity(session, actor=caller, subject=person, tenant=caller.tenant):
        raise PersonNotFound
    return ErasedIdentity(pseudonym=name, events=sum(tenants.values()))
