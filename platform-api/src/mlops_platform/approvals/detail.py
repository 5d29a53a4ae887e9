"""What an approver should see beside a request: code of its own that the version brings, and the statement it is served under."""

from mlops_platform.approvals import reading
from mlops_platform.approvals.schemas import ApprovalDetail, DeclaredCode
from mlops_platform.checks import service as checks
from mlops_platform.checks.schemas import CheckResult
from mlops_platform.database.session import ReadSession
from mlops_platform.identity.principal import Principal
from mlops_platform.statements import service as statements


async def get(session: ReadSession, caller: Principal, approval_id: str) -> ApprovalDetail:
    """Return one request with what belongs to it. Raises ApprovalNotFound."""
    approval = await reading.get(session, caller, approval_id)
    results = await checks.for_version(session, approval.model_name, approval.model_version)
    signed = await statements.of_revisions(session, [approval.subject_id])
    statement = signed.get(approval.subject_id)
    return ApprovalDetail(
        **approval.model_dump(),
        declared_code=declared_code(results),
        statement=statement.digest if statement else None,
    )


def declared_code(results: list[CheckResult]) -> DeclaredCode | None:
    """Return what the checks of a version say of code of its own; None when they name none."""
    known = {result.check: result for result in results}
    # the build's check has read every file, the one of registration only MLmodel
    said = known.get("code") or known.get("flavour")
    if said is None or said.detail.get("code", "none") == "none":
        return None
    flavour = known["flavour"].detail.get("flavour") if "flavour" in known else None
    return DeclaredCode(flavour=flavour, sentence=said.sentence, sources=said.detail.get("sources", {}))
