"""Which requests of a browser are our own pages' (values in, values out)."""

from mlops_platform.errors import Forbidden

_SAFE = frozenset({"GET", "HEAD"})


class AnotherSitesRequest(Forbidden):
    """A page of another origin sent this with the person's session, or tried to read the answer."""

    title = "Another site sent this request"

    def __init__(self) -> None:
        super().__init__(
            "A page of another address may not use MLflow for you. Open MLflow's own page; programs send a token and no Origin."
        )


def refuse_other_sites(method: str, headers: dict[bytes, bytes], *, by_session: bool) -> None:
    """Raise AnotherSitesRequest for a request that a page of another origin sent.

    `by_session`: the browser added the session's cookie by itself, so the request proves nothing about who wanted it.
    """
    host = headers.get(b"host", b"")
    origin = headers.get(b"origin")
    # a page without an origin (a file, a sandboxed frame) says "null": that is not ours either
    if origin is not None and origin not in {b"http://" + host, b"https://" + host}:
        raise AnotherSitesRequest
    if not by_session:
        return
    site = headers.get(b"sec-fetch-site")
    if site in {b"same-origin", b"none"}:
        return
    if site is None:
        # a browser without these headers sends Origin with whatever changes something
        if method in _SAFE or origin is not None:
            return
        raise AnotherSitesRequest
    # a link on the console, which is another port of the same site, may be followed
    if site == b"same-site" and method in _SAFE and headers.get(b"sec-fetch-mode") == b"navigate":
        return
    raise AnotherSitesRequest
