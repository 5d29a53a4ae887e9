"""Why a request for approval may not be decided, withdrawn or revoked."""

from mlops_platform.errors import Conflict, Forbidden, Invalid
from mlops_platform.identity.principal import Role


class ApproverIsRequester(Forbidden):
    """Nobody approves their own request."""

    title = "You cannot decide on your own request"

    def __init__(self) -> None:
        super().__init__("You asked for this yourself; somebody else with the needed role must decide.")


class ServicesDoNotDecide(Forbidden):
    """A program tried to decide."""

    title = "Only people decide"

    def __init__(self) -> None:
        super().__init__(
            "A service cannot approve or reject, whatever roles its token has; a person with the role must."
        )


class RoleNotNeeded(Forbidden):
    """The caller's roles are not what the policy asks for."""

    title = "Your role is not among those that must decide"

    def __init__(self, needed: list[Role]) -> None:
        roles = ", ".join(sorted(set(needed))) or "nobody: every role has decided"
        super().__init__(f"This request still waits for: {roles}.")


class NotTheRequester(Forbidden):
    """Only who asked may take a request back."""

    title = "This request is somebody else's"

    def __init__(self, requester: str) -> None:
        super().__init__(f"Only {requester} can withdraw this request; who must decide can reject it, with a reason.")


class RejectionNeedsReason(Invalid):
    """A rejection is final: its requester must learn why."""

    title = "A reason is needed"

    def __init__(self) -> None:
        super().__init__("Say why you reject: send 'comment'. The requester reads it, and it is kept in the audit log.")


class AlreadyDecided(Conflict):
    """One person decides once."""

    title = "You have decided already"

    def __init__(self) -> None:
        super().__init__("Your decision on this request is on record and cannot be changed.")


class ApprovalNotGiven(Conflict):
    """Only what was approved can be revoked."""

    title = "This approval was not given"

    def __init__(self, status: str) -> None:
        super().__init__(f"The request is {status}; only an approval that was given can be revoked.")


class ApprovalSettled(Conflict):
    """The request is no longer open."""

    title = "This request is no longer open"

    def __init__(self, status: str) -> None:
        super().__init__(f"The request is {status}; ask again with a new deployment if it is still wanted.")
