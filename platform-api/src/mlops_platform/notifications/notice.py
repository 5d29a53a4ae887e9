"""What people are told, and the kinds of it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from mlops_platform.identity.principal import Role


class Kind(StrEnum):
    """What happened."""

    APPROVAL_REQUESTED = "approval-requested"
    APPROVAL_OVERDUE = "approval-overdue"
    APPROVAL_SETTLED = "approval-settled"
    APPROVAL_REVOKED = "approval-revoked"
    VERSION_REFUSED = "version-refused"
    DEPLOYMENT_LIVE = "deployment-live"
    DEPLOYMENT_ROLLED_BACK = "deployment-rolled-back"
    DEPLOYMENT_FAILED = "deployment-failed"
    REVIEW_DUE = "review-due"


MEANING: dict[Kind, str] = {
    Kind.APPROVAL_REQUESTED: "somebody asks for an approval that your role can give",
    Kind.APPROVAL_OVERDUE: "a request that your role can decide is overdue",
    Kind.APPROVAL_SETTLED: "your request was approved, rejected, withdrawn or has expired",
    Kind.APPROVAL_REVOKED: "an approval of your request was taken back",
    Kind.VERSION_REFUSED: "the version you asked for could not be built",
    Kind.DEPLOYMENT_LIVE: "what you asked for answers predictions",
    Kind.DEPLOYMENT_ROLLED_BACK: "what you asked for, or what you run, was rolled back",
    Kind.DEPLOYMENT_FAILED: "what you asked for could not be started",
    Kind.REVIEW_DUE: "what runs must be reviewed",
}


@dataclass(frozen=True)
class Notice:
    """Something people should know of, in one sentence, with the page that shows it."""

    kind: Kind
    subject: str
    """What it is about ("approval:ID"): notices of one subject arrive in order."""
    tenant: str
    sentence: str
    page: str
    """Path of the console's page."""
    roles: tuple[Role, ...] = ()
    """Whoever has one of these roles in the tenant should know."""
    people: tuple[str, ...] = ()
    """These people should know, by subject."""
    but: tuple[str, ...] = ()
    """These need not: they did it."""
    pages: bool = False
    """Whether somebody has to get up for it."""
