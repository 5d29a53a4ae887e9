"""The demonstration people of the embedded issuer. Pure."""

from dataclasses import dataclass
from typing import Any

from mlops_platform.identity.principal import Role


@dataclass(frozen=True)
class Person:
    """Somebody to try the platform as."""

    key: str
    email: str
    name: str
    roles: tuple[Role, ...]
    does: str
    tenant: str = "default"

    def claims(self, *, second_factor: bool) -> dict[str, Any]:
        """Return the claims of the person's tokens."""
        said = {
            "sub": self.email,
            "email": self.email,
            "email_verified": True,
            "name": self.name,
            "roles": [role.value for role in self.roles],
            "tenant": self.tenant,
        }
        return {**said, "amr": ["pwd", "mfa"]} if second_factor else said


PEOPLE = (
    Person("ana", "ana@company.com", "Ana", (Role.DATA_SCIENTIST,), "registers models and asks for deployments"),
    Person("sam", "sam@company.com", "Sam", (Role.SENIOR_DATA_SCIENTIST,), "reviews models"),
    Person("tom", "tom@company.com", "Tom", (Role.TEAM_LEAD,), "leads the team, reviews and operates"),
    Person("max", "max@company.com", "Max", (Role.MANAGER,), "approves what carries risk"),
    Person("eli", "eli@company.com", "Eli", (Role.ML_ENGINEER,), "runs what is deployed"),
    Person("ada", "ada@company.com", "Ada", (Role.ARCHITECT,), "reviews models of every team"),
    Person("dora", "dora@company.com", "Dora", (Role.DOMAIN_EXPERT,), "knows the business"),
    Person("cleo", "cleo@company.com", "Cleo", (Role.CAB_MEMBER,), "sits on the change advisory board"),
    Person("aud", "aud@company.com", "Aud", (Role.AUDITOR,), "reads the audit log"),
    Person("vic", "vic@company.com", "Vic", (Role.VIEWER,), "looks at things"),
    Person("root", "admin@company.com", "Root", (Role.PLATFORM_ADMIN,), "administers the platform"),
)


def person(key: str) -> Person | None:
    """Return the person with this key."""
    return next((one for one in PEOPLE if one.key == key), None)
