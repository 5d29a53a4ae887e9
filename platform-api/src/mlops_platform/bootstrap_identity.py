"""Chooses whose tokens count, where people sign in, and what a browser's session is: by the settings alone."""

from datetime import timedelta

from mlops_platform.database.session import Database
from mlops_platform.identity.accounts_file import AccountsFile
from mlops_platform.identity.claim_names import ClaimNames
from mlops_platform.identity.development import DevelopmentIdentity, DevelopmentIssuer
from mlops_platform.identity.interfaces import IdentityProvider
from mlops_platform.identity.issuer.requests import CONSOLE
from mlops_platform.identity.session_limits import SessionLimits
from mlops_platform.identity.sessions import Sessions
from mlops_platform.identity.sign_outs import SignOuts
from mlops_platform.identity.signing_in import SignInProvider
from mlops_platform.identity.trusted import TrustedIssuers
from mlops_platform.settings import Settings


def build_identity(settings: Settings, database: Database) -> IdentityProvider:
    """Return whose tokens count: the issuer the settings name, and the issuers of workloads where a file names some."""
    own = build_own_issuer(settings)
    # the embedded issuer's clock is this one
    departed = SignOuts(database, 0 if settings.development_issuer else settings.clock_skew_seconds)
    if settings.service_accounts_file is None:
        return TrustedIssuers(own, settings.issuer_url, None, departed)
    from mlops_platform.adapters.oidc.workloads import Workloads

    file = AccountsFile(settings.service_accounts_file)
    # a file that cannot be used is said at the start, not at the first token
    file.accounts()
    others = Workloads(file, settings.clock_skew_seconds, settings.jwks_cache_seconds)
    return TrustedIssuers(own, settings.issuer_url, others, departed)


def build_own_issuer(settings: Settings) -> IdentityProvider:
    """Return the issuer of people that the settings name."""
    if settings.issuer is None:
        issuer = DevelopmentIssuer.from_settings(settings)
        return DevelopmentIdentity(issuer, settings.audience, settings.clock_skew_seconds, claim_names(settings))
    from mlops_platform.adapters.oidc.identity import OidcIdentity

    return OidcIdentity(
        settings.issuer,
        settings.audience,
        settings.clock_skew_seconds,
        settings.jwks_cache_seconds,
        names=claim_names(settings),
    )


def claim_names(settings: Settings) -> ClaimNames:
    """Return which claims of tokens say who somebody is."""
    return ClaimNames(
        settings.subject_claim,
        settings.roles_claim,
        settings.tenant_claim,
        settings.role_names,
        settings.service_claims,
    )


def build_sign_in(settings: Settings, database: Database, identity: IdentityProvider) -> SignInProvider | None:
    """Return where people sign in by browser, None when the outside issuer knows no client of ours."""
    if not settings.development_issuer and settings.oidc_client_id is None:
        return None
    from mlops_platform.adapters.oidc.sign_in import OidcSignIn

    if settings.oidc_client_id is None or settings.development_issuer:
        from mlops_platform.adapters.oidc.embedded import embedded_transport

        return OidcSignIn(
            settings.issuer_url,
            CONSOLE,
            identity,
            scopes="openid profile email offline_access",
            skew_seconds=settings.clock_skew_seconds,
            names=claim_names(settings),
            transport=embedded_transport(settings, database),
        )
    return OidcSignIn(
        settings.issuer_url,
        settings.oidc_client_id,
        identity,
        secret_file=settings.oidc_client_secret_file,
        scopes=settings.oidc_scopes,
        skew_seconds=settings.clock_skew_seconds,
        names=claim_names(settings),
    )


def build_sessions(settings: Settings, database: Database, identity: IdentityProvider) -> Sessions:
    """Return the sessions of browsers."""
    seconds = (settings.session_idle_seconds, settings.session_seconds, settings.session_check_seconds)
    limits = SessionLimits(*(timedelta(seconds=each) for each in seconds))
    return Sessions(database, identity, build_sign_in(settings, database, identity), limits)
