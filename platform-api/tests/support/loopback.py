"""No test depends on a network: this process reaches loopback and Unix sockets, and nothing else.

Python says before it connects or looks a name up; libraries that connect by themselves (libpq, uvloop) do not ask it.
"""

import ipaddress
import socket
import sys
from typing import Any

_NAMES = {"localhost", "", None, socket.gethostname()}


class NotLoopback(AssertionError):
    """A test reached for another machine."""

    def __init__(self, where: object) -> None:
        super().__init__(f"a test tries to reach {where}: tests run without a network; start a server on 127.0.0.1")


def here(host: object) -> bool:
    """Return whether a host is this machine, without asking a name server."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in _NAMES or str(host).endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        handle, address = arguments
        if handle.family in {socket.AF_INET, socket.AF_INET6} and not here(address[0]):
            raise NotLoopback(address)
    elif event == "socket.getaddrinfo" and not here(arguments[0]):
        raise NotLoopback(arguments[0])


sys.addaudithook(_refuse)
