"""Who is calling, remembered with the decisions about it, for as long as its token is trusted."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.dependencies import NotPermitted
from mlops_platform.identity.interfaces import IdentityProvider
from mlops_platform.identity.principal import Principal
from mlops_platform.identity.tokens import MissingToken

_MOST_TOKENS = 10_000


@dataclass(frozen=True)
class Caller:
    """A verified caller with its decisions at hand."""

    principal: Principal
    valid_until: float
    authorizer: Authorizer = field(repr=False)
    decisions: dict[tuple[str, str | None], bool] = field(default_factory=dict, repr=False)

    def may(self, action: str, tenant: str | None = None) -> bool:
        """Return whether the caller may do this to resources of that tenant (None: its own)."""
        decision = self.decisions.get((action, tenant))
        if decision is None:
            decision = self.decisions[action, tenant] = self.authorizer.allowed(self.principal, action, tenant)
        return decision

    def require(self, action: str) -> None:
        """Raise NotPermitted unless the caller may do this in its own tenant."""
        if not self.may(action):
            raise NotPermitted(action, self.principal, self.authorizer)


class Callers:
    """Verified tokens, by the exact bytes of the Authorization header."""

    def __init__(self, identity: IdentityProvider, authorizer: Authorizer) -> None:
        self._identity = identity
        self._authorizer = authorizer
        self._known: dict[bytes, Caller] = {}

    def known(self, headers: Mapping[bytes, bytes]) -> Caller | None:
        """Return the caller when this very token was verified before and still counts."""
        caller = self._known.get(headers.get(b"authorization", b""))
        return caller if caller is not None and caller.valid_until > time.time() else None

    async def ask(self, headers: Mapping[bytes, bytes]) -> Caller:
        """Verify the request's token. Raises MissingToken, InvalidToken (401) and IssuerUnavailable (503)."""
        value = headers.get(b"authorization", b"")
        scheme, _, token = value.partition(b" ")
        if scheme.lower() != b"bearer" or not token.strip():
            raise MissingToken
        verified = await self._identity.authenticate(token.strip().decode("latin-1"))
        if len(self._known) >= _MOST_TOKENS:
            self._known.clear()
        caller = self._known[value] = Caller(verified.principal, verified.trusted_until, self._authorizer)
        return caller
