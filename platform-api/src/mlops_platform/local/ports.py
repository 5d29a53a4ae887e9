"""Who has which port: said in words before anything is started."""

import socket
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Holder:
    """The process that listens on a port; unknown when the system hides it (another user's process)."""

    pid: int | None
    name: str = "a process of another user"
    command: str = ""

    def __str__(self) -> str:
        return self.name if self.pid is None else f"{self.name} (pid {self.pid}: {self.command})"


class PortTaken(RuntimeError):
    """A port we need is in use; the sentence names the holder and the option that chooses another port."""

    def __init__(self, port: int, option: str, holder: Holder) -> None:
        super().__init__(
            f"port {port} is taken by {holder}. End that process, or choose another port: {option} {free_port()}"
        )
        self.port = port
        self.holder = holder


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether we could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # as the servers do: a port in TIME_WAIT is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def holder_of(port: int) -> Holder:
    """Return the process listening on a port, as far as this user may know."""
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        try:
            listening = any(
                connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
                for connection in process.net_connections(kind="tcp")
            )
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        if listening:
            return Holder(process.pid, process.info["name"], " ".join(process.info["cmdline"] or [])[:160])
    return Holder(None)


def ensure_free(port: int, option: str, host: str = "127.0.0.1") -> None:
    """Return when the port can be listened on. Raises PortTaken."""
    if not is_free(port, host):
        raise PortTaken(port, option, holder_of(port))
