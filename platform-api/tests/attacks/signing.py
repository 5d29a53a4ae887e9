"""Tokens as another issuer's mistakes make them: signed with the trusted key, with whatever claims an attack needs."""

import base64
import json
import time
from typing import Any

from joserfc import jws

from mlops_platform.identity.development import DevelopmentIssuer

MISSING = object()


def claims(issuer: DevelopmentIssuer, **changes: Any) -> dict[str, Any]:
    """Return the claims of a good token of Ana's, changed; a claim that is MISSING is left out."""
    now = int(time.time())
    good = {
        "iss": issuer.issuer,
        "aud": "mlops-platform",
        "sub": "ana@company.com",
        "roles": ["data-scientist"],
        "tenant": "default",
        "nbf": now,
        "exp": now + 600,
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not MISSING}


def signed(issuer: DevelopmentIssuer, **changes: Any) -> str:
    """Return a token with these claims, signed by the issuer."""
    return raw(issuer, json.dumps(claims(issuer, **changes)))


def raw(issuer: DevelopmentIssuer, payload: str) -> str:
    """Return a token whose payload is this very text, signed by the issuer."""
    key = issuer.keys().keys[-1]
    header = {"alg": "ES256", "kid": key.kid, "typ": "JWT"}
    return str(jws.serialize_compact(header, payload.encode(), key, algorithms=["ES256"]))


def bearer(token: str) -> dict[str, str]:
    """Return the headers that carry a token."""
    return {"Authorization": f"Bearer {token}"}


def part(text: str) -> str:
    """Return one part of a compact token."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
