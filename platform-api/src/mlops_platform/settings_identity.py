"""Settings of who people are: the issuer, what its claims mean, sessions of browsers, the second factor of approvers."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings

from mlops_platform.identity.principal import Role

_CLAIM = r"^[A-Za-z0-9_:/.-]{1,120}$"


class IdentitySettings(BaseSettings):
    """The part of the settings that says whose tokens count, and for how long a browser stays signed in."""

    issuer: str | None = Field(
        None,
        description="OIDC issuer whose tokens are accepted; empty means the embedded development issuer.",
    )
    audience: str = Field("mlops-platform", description="The 'aud' every token must carry.")
    subject_claim: str = Field(
        "sub",
        pattern=_CLAIM,
        description="The claim that names who is calling. With 'email' only tokens whose 'email_verified' is true are accepted. "
        "Changing it makes everybody somebody else: settle open requests first.",
    )
    roles_claim: str | None = Field(
        None,
        pattern=_CLAIM,
        description="The claim that names roles or groups; a dotted path leads into objects (realm_access.roles). Empty: 'roles', "
        "else 'groups', else everybody is a viewer. Named and absent from a token, it gives no role.",
    )
    role_names: dict[str, str] = Field(
        default_factory=dict,
        description='The roles that names of the provider stand for, a JSON object: {"grp-ml-leads": "manager"}. When it is not empty, '
        "names that are not in it give no role.",
    )
    tenant_claim: str = Field(
        "tenant",
        pattern=_CLAIM,
        description="The claim that names the team; absent from a token, the team is 'default'.",
    )
    service_claims: dict[str, str] = Field(
        default_factory=dict,
        description="Claims by which the provider marks a program, a JSON object of patterns: "
        '{"preferred_username": "service-account-*"}. A token with one of them is of a service, which decides on nothing.',
    )
    service_accounts_file: Path | None = Field(
        None,
        description="File (YAML) of service accounts: secrets' hashes for the embedded issuer, and the workloads of other issuers "
        "(jobs of GitHub, pods of Kubernetes) whose tokens are accepted. Read again when it changes. Empty: none.",
    )
    oidc_client_id: str | None = Field(
        None,
        description="Client that the console signs people in as, at MLOPS_ISSUER; empty: no signing in by browser there.",
    )
    oidc_client_secret_file: Path | None = Field(
        None, description="File with that client's secret; empty for a public client (PKCE is used in both cases)."
    )
    oidc_scopes: str = Field(
        "openid profile email",
        description="Scopes the console asks for; add offline_access where the provider gives refresh tokens only for it.",
    )
    oidc_cli_client_id: str | None = Field(
        None,
        description="Public client that `mlops login` uses, by device flow; empty: no `mlops login` at that issuer.",
    )
    oidc_cli_scopes: str = Field("openid profile email", description="Scopes that `mlops login` asks for.")
    jwks_cache_seconds: int = Field(
        300, ge=1, description="How long fetched signing keys are trusted before they are read again."
    )
    clock_skew_seconds: int = Field(30, ge=0, le=300, description="Tolerance for 'exp', 'nbf' and 'iat'.")
    session_idle_seconds: int = Field(
        3_600, ge=60, description="A browser's session ends when nobody used it for so long."
    )
    session_seconds: int = Field(36_000, ge=300, description="A browser's session ends after so long, used or not.")
    session_check_seconds: int = Field(
        600,
        ge=60,
        le=600,
        description="A session asks the provider again, by its refresh token, when the last answer is older: who was deactivated is out.",
    )
    elevations: dict[Role, list[Role]] = Field(
        default_factory=dict,
        description='Roles that people with a role may take for at most four hours, a JSON object: {"ml-engineer": ["platform-admin"]}. '
        "Empty: nobody may take any.",
    )
    approver_amr: list[str] = Field(
        default_factory=list,
        description='Ways of signing in (claim amr, a JSON list: ["mfa"]) of which a person who approves must have used one; empty: any.',
    )
    approver_acr: list[str] = Field(
        default_factory=list,
        description="Levels of signing in (claim acr, a JSON list) of which a person who approves needs one.",
    )

    channels_file: Path | None = Field(
        None,
        description="File (YAML) of the channels by which people and programs are told: e-mail, Slack, webhooks, PagerDuty; only the "
        "worker reads it. Empty: nobody is told, the console shows what waits.",
    )

    @property
    def development_issuer(self) -> bool:
        """Whether the embedded issuer is in use."""
        return self.issuer is None
