"""Whose process is at the other end of a connection within this machine, as the kernel says it (Linux)."""

import ipaddress
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _REMOTE, _UID = 1, 2, 7


def uid_of(address: str, port: int) -> int | None:
    """Return the user whose process holds the socket with this local address; None where the kernel does not say.

    A socket that nobody holds any more is listed without its user, as one of root's.
    """
    try:
        wanted = ipaddress.ip_address(address)
    except ValueError:
        return None
    ends = {f"{one}:{port:04X}" for one in _written(wanted)}
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[_LOCAL] in ends:
                return int(fields[_UID])
    return None


def _written(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> set[str]:
    """Return an address as these tables write it: 32-bit words in the machine's order, an IPv4 address also within IPv6."""
    packed = address.packed
    words = "".join(packed[place : place + 4][::-1].hex().upper() for place in range(0, len(packed), 4))
    if address.version == 4:  # noqa: PLR2004 - the protocol's version
        return {words, f"0000000000000000FFFF0000{words}"}
    return {words}
