"""What the rows of risk records say, for the audit log to be compared with: they must follow from its events."""

from sqlalchemy import select

from mlops_platform.audit.actions import Action
from mlops_platform.audit.interfaces import Claim, RecordedState
from mlops_platform.database.session import ReadSession
from mlops_platform.risk.tables import RiskProposalRow, RiskRecordRow


class RecordedRisk(RecordedState):
    """Each level was set by a recorded change, each lowering was proposed by one person and decided by another."""

    actions = frozenset({Action.RISK_LEVEL_SET, Action.RISK_LOWERING_PROPOSED, Action.RISK_LOWERING_DECIDED})

    async def claims(self, session: ReadSession) -> list[Claim]:
        """Return what the rows say."""
        records = (await session.execute(select(RiskRecordRow))).scalars()
        proposals = (await session.execute(select(RiskProposalRow))).scalars()
        return [*map(_level, records), *(claim for row in proposals for claim in _proposal(row))]


def _level(row: RiskRecordRow) -> Claim:
    return Claim(
        f"the risk record of {row.digest} says {row.level}, set {row.changes} times",
        Action.RISK_LEVEL_SET,
        f"risk:{row.digest}",
        {"level": row.level, "change": row.changes, "source": row.source},
    )


def _proposal(row: RiskProposalRow) -> list[Claim]:
    asked = Claim(
        f"{row.proposed_by} proposed to lower {row.digest} to {row.to_level}",
        Action.RISK_LOWERING_PROPOSED,
        f"risk:{row.digest}",
        {"proposal": row.id, "from": row.from_level, "to": row.to_level},
        person=row.proposed_by,
    )
    if row.status not in ("confirmed", "refused"):
        return [asked]
    decided = Claim(
        f"proposal {row.id} for {row.digest} is {row.status} by {row.decided_by}",
        Action.RISK_LOWERING_DECIDED,
        f"risk:{row.digest}",
        {"proposal": row.id, "decision": "confirm" if row.status == "confirmed" else "refuse"},
        person=row.decided_by,
    )
    return [asked, decided]
