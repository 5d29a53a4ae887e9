"""The platform's errors for an API server's answers. Pure."""

from collections.abc import Mapping

from mlops_platform.deployments.interfaces import RuntimeConflict, RuntimeUnavailable

BAD, UNKNOWN, FORBIDDEN, NOT_FOUND, CONFLICT, INVALID = 400, 401, 403, 404, 409, 422
NO_ANSWER = "The cluster's API server does not answer."
# these concern one deployment; whatever else goes wrong concerns the cluster
_REFUSALS = {
    FORBIDDEN: "The cluster does not allow the platform's service account to do this; check its roles and the tenant's namespace.",
    NOT_FOUND: "The cluster has no such namespace or resource kind; check that the tenant is set up and KServe is installed.",
}


def error_of(
    code: int, headers: Mapping[str, str], message: str = "", fields: str = ""
) -> RuntimeUnavailable | RuntimeConflict:
    """Return RuntimeConflict for what concerns one deployment, RuntimeUnavailable for what concerns the cluster."""
    if code == CONFLICT:
        return RuntimeConflict(
            f"Another field manager owns {fields or 'fields of this object'} in the cluster; "
            "take that change back, or give the field to the platform."
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
    wait = headers.get("Retry-After", "")
    return RuntimeUnavailable(sentence, retry_after=int(wait) if wait.isdecimal() else 5)
