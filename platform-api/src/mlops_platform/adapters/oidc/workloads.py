"""Tokens of workloads: verified with the keys that their issuer publishes, and worth what the bound account says."""

from typing import Any

from joserfc.jwk import KeySet

from mlops_platform.adapters.oidc.identity import OidcIdentity
from mlops_platform.identity.accounts_file import AccountsFile
from mlops_platform.identity.interfaces import VerifiedToken
from mlops_platform.identity.service_accounts import WorkloadIssuer
from mlops_platform.identity.tokens import InvalidToken, TokenVerifier
from mlops_platform.identity.trusted import Verifiers

# a token that lasts longer is a password: what was stolen once would count for ever
_LONGEST_SECONDS = 86_400


class WorkloadVerifier(TokenVerifier):
    """Checks tokens of one issuer of workloads. Roles or a team that such a token names mean nothing."""

    def __init__(self, issuer: WorkloadIssuer, skew_seconds: int, file: AccountsFile) -> None:
        super().__init__(issuer.issuer, issuer.audience, skew_seconds)
        self._workload_issuer, self._file = issuer.issuer, file

    def verify(self, token: str, keys: KeySet) -> VerifiedToken:
        claims = self.signed_claims(token, keys)
        self._check_claims(claims)
        self._check_length(claims)
        found = self._file.accounts().of_workload(self._workload_issuer, claims["sub"])
        if not found:
            raise InvalidToken("workload", "No service account is bound to this workload (issuer and subject).")
        if len(found) > 1:
            raise InvalidToken(
                "workload", "Two service accounts are bound to this workload; nobody chooses between them."
            )
        return VerifiedToken(found[0].principal(), float(claims["exp"]), issued_at=float(claims["iat"]))

    def _check_length(self, claims: dict[str, Any]) -> None:
        if "iat" not in claims or claims["exp"] - claims["iat"] > _LONGEST_SECONDS:
            raise InvalidToken("expiry", "A workload's token says when it was issued, and ends within a day.")


class Workloads(Verifiers):
    """The issuers of workloads that the file names."""

    def __init__(self, file: AccountsFile, skew_seconds: int, cache_seconds: int) -> None:
        self._file, self._skew, self._cache = file, skew_seconds, cache_seconds
        self._known: dict[WorkloadIssuer, OidcIdentity] = {}

    def of(self, issuer: object) -> OidcIdentity | None:
        """Return who verifies tokens of this issuer; None when the file does not name it. Raises ServiceAccountsUnreadable."""
        found = next((one for one in self._file.accounts().issuers if one.issuer == issuer), None)
        if found is None:
            return None
        if found not in self._known:
            verifier = WorkloadVerifier(found, self._skew, self._file)
            self._known[found] = OidcIdentity(found.issuer, found.audience, self._skew, self._cache, verifier=verifier)
        return self._known[found]
