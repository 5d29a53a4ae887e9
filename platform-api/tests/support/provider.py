"""An OpenID provider of a company, small and obedient: it says what a test wants said, over HTTP, with a key of its own."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .ports import free_port
from .waiting import answers_well, eventually

CLIENT = "mlops"
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


class Provider:
    """What it answers can be changed at any time."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.key = ECKey.generate_key("P-256", {"kid": uuid.uuid4().hex})
        self.person: dict[str, Any] = {"sub": "u-1", "roles": ["manager"], "tenant": "default"}
        self.changes: dict[str, Any] = {}
        """Claims of the next ID tokens that replace the right ones."""
        self.active = True
        self.gives_refresh_tokens = True
        self.answers_with_id_token_when_renewing = True
        self.metadata_changes: dict[str, Any] = {}
        self.down = False
        self.asked: list[dict[str, str]] = []
        """What was sent to the token endpoint."""
        self.nonce = ""

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": "ES256", "kid": self.key.kid, "typ": "JWT"}
        return str(jwt.encode(header, claims, self.key, algorithms=["ES256"]))

    def id_token(self, nonce: str | None) -> str:
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "sid": "s-1", **self.person}
        if nonce is not None:
            right["nonce"] = nonce
        return self.sign({name: value for name, value in {**right, **self.changes}.items() if value is not None})

    def logout_token(self, **changes: Any) -> str:
        right = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": int(time.time()),
            "jti": uuid.uuid4().hex,
            "events": {LOGOUT: {}},
            "sid": "s-1",
        }
        return self.sign({name: value for name, value in {**right, **changes}.items() if value is not None})

    async def discovery(self, _request: Request) -> Response:
        if self.down:
            return Response(status_code=503)
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "end_session_endpoint": f"{self.issuer}/logout",
            "jwks_uri": f"{self.issuer}/jwks",
        }
        return JSONResponse({**found, **self.metadata_changes})

    async def jwks(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]}) if not self.down else Response(status_code=503)

    async def token(self, request: Request) -> Response:
        if self.down:
            return Response(status_code=503)
        sent = dict(parse_qsl((await request.body()).decode()))
        self.asked.append({**sent, "authorization": request.headers.get("authorization", "")})
        renewing = sent.get("grant_type") == "refresh_token"
        if renewing and not self.active:
            return JSONResponse({"error": "invalid_grant"}, 400)
        answer: dict[str, Any] = {"access_token": uuid.uuid4().hex, "token_type": "Bearer", "expires_in": 300}
        if not renewing or self.answers_with_id_token_when_renewing:
            answer["id_token"] = self.id_token(None if renewing else self.nonce)
        if self.gives_refresh_tokens:
            answer["refresh_token"] = uuid.uuid4().hex
        return JSONResponse(answer)

    async def how_to_sign_in(self, _request: Request) -> Response:
        """What a platform that trusts this provider tells programs."""
        return JSONResponse({"issuer": self.issuer, "client_id": None, "scopes": "", "audience": "mlops-platform"})


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider until the block ends."""
    port = free_port()
    provider = Provider(port)
    routes = [
        Route("/.well-known/openid-configuration", provider.discovery),
        Route("/jwks", provider.jwks),
        Route("/api/v1/sign-in", provider.how_to_sign_in),
        Route("/token", provider.token, methods=["POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started and answers_well(f"{provider.issuer}/jwks"))
    yield provider
    server.should_exit = True
    thread.join(10)
