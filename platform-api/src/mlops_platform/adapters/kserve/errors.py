"""What an API server's refusal means for the platform. Pure."""

from collections.abc import Mapping

from mlops_platform.deployments.interfaces import RuntimeConflict, RuntimeUnavailable

BAD, UNKNOWN, FORBIDDEN, NOT_FOUND, CONFLICT, GONE, INVALID, TOO_MANY = 400, 401, 403, 404, 409, 410, 422, 429
NO_ANSWER = "The cluster's API server does not answer."
# these concern one deployment; whatever else goes wrong concerns the cluster
_REFUSALS = {
    FORBIDDEN: "The cluster does not allow the platform's service account to do this; check its roles and the tenant's namespace.",
    NOT_FOUND: "The cluster has no such namespace or resource kind; check that the tenant is set up and KServe is installed.",
}


def situation(
    code: int, headers: Mapping[str, str], message: str = "", fields: str = ""
) -> RuntimeUnavailable | RuntimeConflict:
    """Return the platform's error for an answer of the API server with this status."""
    if code == CONFLICT:
        return RuntimeConflict(
            f"Somebody else holds {fields or 'what this order would change'} in the cluster; "
            "take the change back, or give the field to the platform."
        )
    if code in {BAD, INVALID}:
        return RuntimeConflict(f"The cluster does not accept the order: {message[:300]}")
    if code in _REFUSALS:
        return RuntimeConflict(_REFUSALS[code])
    sentence = (
        "The cluster does not know the platform's service account; check its token."
        if code == UNKNOWN
        else "The cluster's API server cannot take orders now."
    )
    wait = retry_after(headers)
    return RuntimeUnavailable(sentence, retry_after=5 if wait is None else wait)


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Return the seconds the server asks to wait; None when it does not say."""
    wait = headers.get("Retry-After", "")
    return int(wait) if wait.isdecimal() else None
