"""What the console's cookie holds: a token, and a name of this one session, so that ending it ends no other. Pure."""

import re
import secrets

NAME = "mlops_session"
_SESSION = re.compile(r"[A-Za-z0-9_-]{22}")


def new_session(token: str) -> str:
    """Return the cookie of a new session with a verified token."""
    return f"{secrets.token_urlsafe(16)}.{token}"


def token_of(cookie: str) -> str | None:
    """Return the token in a cookie, None when it is none of ours."""
    session, _, token = cookie.partition(".")
    return token if token and _SESSION.fullmatch(session) else None
