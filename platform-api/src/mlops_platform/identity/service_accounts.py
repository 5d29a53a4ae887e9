"""Which programs may call, as which service, and what each may be. Pure.

An account is proven by a secret at the embedded issuer, or by a token of a workload that another issuer signed (a job of
GitHub, a pod of Kubernetes): its issuer, audience and subject are bound to the account here, and nothing else of it counts.
"""

import hmac
import re
from hashlib import sha256
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_platform.identity.principal import Principal, Role

# a service decides on nothing and administers nobody: no account has a role that exists for that
ROLES_OF_SERVICES = frozenset({Role.SERVICE, Role.VIEWER, Role.DATA_SCIENTIST, Role.ML_ENGINEER})
# no person's name begins with it: identity/tokens.py refuses it from every issuer but ours
PREFIX = "service:"
SHORTEST_SECRET = 32
# the parts of a subject that say whose workload it is: "repo:OWNER/NAME", "system:serviceaccount"
_FIXED_PARTS = 2
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkloadIssuer(_Strict):
    """Somebody who signs tokens of workloads."""

    issuer: str = Field(min_length=1, max_length=500)
    audience: str = Field(min_length=1, max_length=500)

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        split = urlsplit(self.issuer)
        here = split.hostname in {"127.0.0.1", "localhost", "::1"}
        if not split.hostname or split.username or not (split.scheme == "https" or (split.scheme == "http" and here)):
            raise ValueError("an issuer's address begins with https:// and holds no name or password")
        return self


class Workload(_Strict):
    """Which tokens of an issuer are of an account. A '*' in the subject stands for anything but a colon."""

    issuer: str
    subject: str = Field(min_length=1, max_length=500)

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        parts = self.subject.split(":")
        if "*" in self.subject and (len(parts) <= _FIXED_PARTS or any("*" in part for part in parts[:_FIXED_PARTS])):
            raise ValueError(
                "a '*' stands after the second colon at the earliest: what is before it says whose workload it is"
            )
        return self

    def fits(self, issuer: str, subject: str) -> bool:
        """Return whether a token with this issuer and subject is meant."""
        pattern = "[^:]*".join(re.escape(part) for part in self.subject.split("*"))
        return issuer == self.issuer and re.fullmatch(pattern, subject, re.DOTALL) is not None


class ServiceAccount(_Strict):
    """One program."""

    name: Annotated[str, Field(pattern=_NAME)]
    tenant: str = Field("default", pattern=_NAME)
    roles: frozenset[Role] = Field(default_factory=frozenset)
    secret_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    workloads: tuple[Workload, ...] = ()

    @model_validator(mode="after")
    def _of_a_service(self) -> Self:
        if persons := sorted(self.roles - ROLES_OF_SERVICES):
            raise ValueError(
                f"{', '.join(persons)}: a role of people; a service has {', '.join(sorted(ROLES_OF_SERVICES))}"
            )
        return self

    @property
    def subject(self) -> str:
        """Return the name of the account in tokens, events and requests."""
        return f"{PREFIX}{self.name}"

    def principal(self) -> Principal:
        """Return the account as a caller: always a service, whatever other roles it has."""
        return Principal(self.subject, self.roles | {Role.SERVICE}, self.tenant, kind="service")

    def claims(self) -> dict[str, Any]:
        """Return what the embedded issuer says of it."""
        roles = sorted(role.value for role in self.principal().roles)
        return {"sub": self.subject, "client_id": self.name, "roles": roles, "tenant": self.tenant}


class ServiceAccounts(_Strict):
    """The whole file."""

    issuers: tuple[WorkloadIssuer, ...] = ()
    accounts: tuple[ServiceAccount, ...] = ()

    @model_validator(mode="after")
    def _unambiguous(self) -> Self:
        for names in ([one.name for one in self.accounts], [one.issuer for one in self.issuers]):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"there twice: {', '.join(twice)}")
        known = {one.issuer for one in self.issuers}
        if strange := sorted({each.issuer for one in self.accounts for each in one.workloads} - known):
            raise ValueError(f"a workload of an issuer that is not among the issuers: {', '.join(strange)}")
        return self

    def with_secret(self, name: str, secret: str) -> ServiceAccount | None:
        """Return the account that a name and a secret prove; None for any other pair."""
        account = next((one for one in self.accounts if one.name == name), None)
        sent = sha256(secret.encode(errors="replace")).hexdigest()
        known = account.secret_sha256 if account is not None else None
        # compared also where there is none: how long the answer takes tells nobody which names exist
        right = hmac.compare_digest(sent, known or "0" * 64)
        return account if right and known is not None and len(secret) >= SHORTEST_SECRET else None

    def of_workload(self, issuer: str, subject: str) -> list[ServiceAccount]:
        """Return the accounts whose workloads a token's issuer and subject fit; more than one is nobody's."""
        return [one for one in self.accounts if any(each.fits(issuer, subject) for each in one.workloads)]
