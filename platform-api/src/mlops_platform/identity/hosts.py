"""Which names this platform answers to. A name that somebody else may point here would lend them our pages. Pure."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from mlops_platform.errors import PlatformError

# nobody outside can own a name below these: the machine's and the cluster's own
_INSIDE = (".localhost", ".svc", ".cluster.local")


class HostNotTrusted(PlatformError):
    """The Host header names another machine."""

    status = 421
    title = "This platform does not answer to that name"

    def __init__(self) -> None:
        super().__init__(
            "Use the platform's own URL. If this name is one of its own, an administrator adds it to MLOPS_TRUSTED_HOSTS."
        )


class TrustedHosts:
    """Names of the platform: the configured ones, addresses, and names that only this machine or cluster resolves."""

    def __init__(self, url: str, more: Iterable[str] = ()) -> None:
        named = {name.strip().lower() for name in more} | {(urlsplit(url).hostname or "").lower()}
        self._suffixes = (*_INSIDE, *(name[1:] for name in named if name.startswith("*.")))
        self._names = frozenset(name for name in named if name and not name.startswith("*."))

    def check(self, host: bytes) -> None:
        """Raise HostNotTrusted unless the Host header (empty for none) names this platform."""
        name = _name(host.decode("latin-1").strip().lower())
        if name is None or not self._trusted(name):
            raise HostNotTrusted

    def _trusted(self, name: str) -> bool:
        # without a dot it is no public name; an address is one that nobody can point elsewhere
        return "." not in name or name in self._names or name.endswith(self._suffixes) or _is_address(name)


def _name(host: str) -> str | None:
    """Return the name without its port, None when the text is neither."""
    if not host:
        # HTTP/1.0 has none
        return ""
    try:
        split = urlsplit(f"//{host}")
        split.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return None
    if split.username is not None or split.path or split.query or split.fragment or any(c in host for c in "\\ \t%"):
        return None
    return split.hostname


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
