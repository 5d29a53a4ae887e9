"""Ports for servers that tests start."""

import random
from pathlib import Path

from mlops_platform.local.ports import is_free

_FIRST, _handed_out = 10_240, set[int]()
_random = random.SystemRandom()


def free_port() -> int:
    """Return a port nobody listens on, below those the kernel gives to outgoing connections: it stays free until it is used.

    A port from `bind(0)` is one of those: with two test processes it is taken by a connection before its server starts.
    """
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range")
    last = int(outgoing.read_text().split()[0]) if outgoing.exists() else 32_768
    while True:
        port = _random.randrange(_FIRST, last)
        if port not in _handed_out and is_free(port):
            _handed_out.add(port)
            return port
