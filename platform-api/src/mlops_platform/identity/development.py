"""The embedded development issuer: its own keys, real discovery and JWKS over HTTP. Refuses to exist in production."""

import os
import time
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from mlops_platform.identity.claim_names import STANDARD, ClaimNames
from mlops_platform.identity.interfaces import IdentityProvider, VerifiedToken
from mlops_platform.identity.tokens import TokenVerifier
from mlops_platform.kit.ids import new_id
from mlops_platform.settings import Settings


class DevelopmentIssuerRefused(RuntimeError):
    """Somebody asked for the development issuer in production."""


class DevelopmentIssuer:
    """Mints tokens for whoever can read the key folder, which is what makes it a convenience and not a service."""

    def __init__(self, folder: Path, issuer: str, audience: str, environment: str) -> None:
        if environment == "production":
            raise DevelopmentIssuerRefused(
                "the embedded issuer refuses to run in production; set MLOPS_ISSUER to a real one"
            )
        self._folder = folder
        self.issuer = issuer
        self.audience = audience

    @classmethod
    def from_settings(cls, settings: Settings) -> "DevelopmentIssuer":
        """Return the issuer of an embedded platform. Raises DevelopmentIssuerRefused in production."""
        return cls(settings.keys, settings.issuer_url, settings.audience, settings.environment)

    def rotate(self) -> str:
        """Create a new signing key and return its key id. The old keys stay published."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kid = new_id()
        key = ECKey.generate_key("P-256")
        path = self._folder / f"issuer-{kid}.pem"
        descriptor = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key.as_pem(private=True))
            stream.flush()
            os.fsync(stream.fileno())
        path.with_suffix(".new").rename(path)
        return kid

    def _paths(self) -> list[Path]:
        # ids are time ordered, so the last one is the newest
        return sorted(self._folder.glob("issuer-*.pem"))

    def keys(self) -> KeySet:
        """Return every key of this issuer (with private parts), creating the first one when there is none."""
        if not self._paths():
            self.rotate()
        return KeySet(
            [
                ECKey.import_key(
                    path.read_bytes(),
                    {"kid": path.stem.removeprefix("issuer-"), "use": "sig", "alg": "ES256"},
                )
                for path in self._paths()
            ]
        )

    def jwks(self) -> dict[str, Any]:
        """Return the public JSON Web Key Set."""
        return dict(self.keys().as_dict(private=False))

    def discovery(self) -> dict[str, Any]:
        """Return the OpenID Connect discovery document."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "device_authorization_endpoint": f"{self.issuer}/device_authorization",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "end_session_endpoint": f"{self.issuer}/end-session",
            "jwks_uri": f"{self.issuer}/jwks.json",
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [
                "authorization_code",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code",
                "client_credentials",
            ],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
            "id_token_signing_alg_values_supported": ["ES256"],
            "subject_types_supported": ["public"],
            "claims_supported": [
                "sub",
                "email",
                "email_verified",
                "name",
                "roles",
                "tenant",
                "sid",
                "auth_time",
                "amr",
            ],
        }

    def mint(self, subject: str, roles: list[str], tenant: str = "default", lifetime_seconds: int = 3_600) -> str:
        """Return a signed access token for the subject, signed with the newest key."""
        said: dict[str, Any] = {"sub": subject, "roles": roles, "tenant": tenant}
        if "@" in subject:
            said |= {"email": subject, "email_verified": True}
        return self.sign(said, self.audience, lifetime_seconds)

    def sign(self, claims: dict[str, Any], audience: str, lifetime_seconds: int) -> str:
        """Return a signed token that says this to somebody."""
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": audience,
            **claims,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_seconds,
            "jti": new_id(),
        }
        key = self.keys().keys[-1]
        token: str = jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "JWT"}, said, key, algorithms=["ES256"])
        return token

    def signed(self, token: str) -> bool:
        """Return whether a token has a signature of this issuer, whatever it says and however old it is."""
        try:
            jwt.decode(token, self.keys(), algorithms=["ES256"])
        except (JoseError, ValueError):
            return False
        return True


class DevelopmentIdentity(IdentityProvider):
    """Verifies tokens of the embedded issuer by reading its key folder: no HTTP call to ourselves."""

    def __init__(
        self, issuer: DevelopmentIssuer, audience: str, skew_seconds: int, names: ClaimNames = STANDARD
    ) -> None:
        super().__init__()
        self._issuer = issuer
        self._verifier = TokenVerifier(issuer.issuer, audience, skew_seconds, names, makes_services=True)
        self._keys = issuer.keys()

    def keys(self) -> KeySet:
        return self._keys

    def verify(self, token: str) -> VerifiedToken:
        return self._verifier.verify(token, self._keys)

    async def refresh(self) -> None:
        self._keys = self._issuer.keys()
