"""Every error has a status and a sentence (RFC 9457 problem details).

PlatformError
├── BadRequest (400)        the request cannot be read
├── Unauthenticated (401)   we do not know who is calling
├── Forbidden (403)         we know, and this caller may not
├── NotFound (404)          it does not exist, or this caller may not know that it does
├── Conflict (409)          the present state does not allow it
├── PreconditionFailed (412) the caller's copy is out of date
├── TooLarge (413)          the body is over the limit
├── Invalid (422)           the request can be read but makes no sense
├── TooManyRequests (429)   over a quota
├── ServerError (500)       a defect of ours
└── Unavailable (503)       something we depend on is not answering; try again

Rooms subclass the base whose status is true and say in `detail` what happened and what to do next. Exceptions of
libraries stop at their adapter: no text of theirs leaves the process.
"""

import re
from typing import Any, ClassVar

PROBLEM_JSON = "application/problem+json"


class PlatformError(Exception):
    """An error that a person can act on: `status`, a stable `type`, a `title` per class and a `detail` per case."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"

    def __init__(
        self, detail: str, *, errors: list[dict[str, Any]] | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after

    @classmethod
    def problem_type(cls) -> str:
        """Return the stable problem type: `/problems/<class-name-in-kebab-case>`."""
        return "/problems/" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @property
    def type(self) -> str:
        """The stable problem type."""
        return self.problem_type()

    def problem(self, request_id: str) -> dict[str, Any]:
        """Return the RFC 9457 body for this error."""
        body: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            body["errors"] = self.errors
        return body

    def headers(self) -> dict[str, str]:
        """Return the response headers of this error."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class BadRequest(PlatformError):
    """The request cannot be read."""

    status = 400
    title = "The request cannot be read"


class Unauthenticated(PlatformError):
    """We do not know who is calling."""

    status = 401
    title = "Authentication is needed"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer", **super().headers()}


class Forbidden(PlatformError):
    """The caller is known and may not do this."""

    status = 403
    title = "This is not allowed for you"


class NotFound(PlatformError):
    """It does not exist, or this caller may not know that it does."""

    status = 404
    title = "Not found"


class Conflict(PlatformError):
    """The present state does not allow it."""

    status = 409
    title = "The present state does not allow this"


class PreconditionFailed(PlatformError):
    """The caller acted on an out-of-date copy."""

    status = 412
    title = "The resource has changed since you read it"


class TooLarge(PlatformError):
    """The body is over the limit."""

    status = 413
    title = "The request body is too large"


class Invalid(PlatformError):
    """The request can be read but makes no sense."""

    status = 422
    title = "The request is not valid"


class TooManyRequests(PlatformError):
    """The caller is over a quota."""

    status = 429
    title = "Too many requests"


class Unavailable(PlatformError):
    """Something we depend on is not answering."""

    status = 503
    title = "Temporarily unavailable"

    def __init__(self, detail: str, *, errors: list[dict[str, Any]] | None = None, retry_after: int = 1) -> None:
        super().__init__(detail, errors=errors, retry_after=retry_after)


class ServerError(PlatformError):
    """A defect of ours: the log has it, the answer does not."""
