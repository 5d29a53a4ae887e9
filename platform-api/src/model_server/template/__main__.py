"""A template: `python -I -m model_server.template DESCRIPTOR SET IDLE_SECONDS`. It has imported what models need, and forks.

Its owner holds the other end of DESCRIPTOR, a socket without a name, so nobody else can ask it. A request is one byte and a
connection; the template forks and reads nothing of it: what a model's process is told never lies in the memory that the next one
inherits. When the owner's end is closed, or nothing was asked and nothing runs for IDLE_SECONDS (0: however long), it ends; what
was forked goes on.
"""

import os
import select
import socket
import sys
import time
from dataclasses import dataclass

from model_server.template.child import become
from model_server.template.messages import FRAME, STATUS
from model_server.template.preload import preload, threads

EXIT_THREADS = 5
_ENDED_BY_ITSELF = 1  # CLD_EXITED


@dataclass
class _Forked:
    pid: int
    ended: int
    """A descriptor that is readable once the process has ended."""
    connection: socket.socket | None
    """None when its owner has closed it."""
    told: bool = False


class Template:
    """Forks on request, tells how each process ended, and reaps it when its owner has taken note: until then its id is its own."""

    def __init__(self, control: socket.socket, idle_seconds: float) -> None:
        self._control = control
        self._idle_seconds = idle_seconds
        self._forked: dict[int, _Forked] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._owners: dict[int, _Forked] = {}
        self._ends: dict[int, _Forked] = {}

    def run(self) -> int:
        """Run until the owner's end is closed, or nothing happens for long."""
        used = time.monotonic()
        while True:
            patience = 1_000 if self._idle_seconds and not self._forked else None
            events = self._poll.poll(patience)
            if events or self._forked:
                used = time.monotonic()
            elif time.monotonic() - used > self._idle_seconds:
                return 0
            for descriptor, _ in events:
                if descriptor == self._control.fileno():
                    if not self._asked():
                        return 0
                elif descriptor in self._ends:
                    self._ended(self._ends.pop(descriptor))
                elif descriptor in self._owners:
                    self._released(self._owners.pop(descriptor))

    def _asked(self) -> bool:
        """Fork for one request; return False when the owner has gone."""
        word, received, _, _ = socket.recv_fds(self._control, 1, 1)
        if not word:
            return False
        if not received:
            return True
        connection = socket.socket(fileno=received[0])
        if threads() != 1:
            # such a fork could stand still for ever at a lock that a thread held
            raise SystemExit(EXIT_THREADS)
        try:
            pid = os.fork()
        except OSError:
            # no memory or too many processes: the owner sees its connection end
            connection.close()
            return True
        if pid == 0:
            become(connection)
        forked = _Forked(pid, os.pidfd_open(pid), connection)
        self._forked[pid] = forked
        self._ends[forked.ended] = self._owners[connection.fileno()] = forked
        self._poll.register(forked.ended, select.POLLIN)
        # only that the other end was closed: what comes is for the forked process to read
        self._poll.register(connection, 0)
        return True

    def _ended(self, forked: _Forked) -> None:
        self._poll.unregister(forked.ended)
        how = os.waitid(os.P_PIDFD, forked.ended, os.WEXITED | os.WNOWAIT)
        assert how is not None
        status = how.si_status if how.si_code == _ENDED_BY_ITSELF else -how.si_status
        forked.told = True
        if forked.connection is None:
            self._reap(forked)
            return
        try:
            forked.connection.send(FRAME.pack(STATUS, status), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            # closed by its owner, which is seen next
            return

    def _released(self, forked: _Forked) -> None:
        assert forked.connection is not None
        self._poll.unregister(forked.connection)
        forked.connection.close()
        forked.connection = None
        if forked.told:
            self._reap(forked)

    def _reap(self, forked: _Forked) -> None:
        os.waitpid(forked.pid, 0)
        os.close(forked.ended)
        del self._forked[forked.pid]


def main(arguments: list[str]) -> int:
    """Import, check that there is one thread, and fork until the owner has gone."""
    descriptor, name, idle_seconds = arguments
    control = socket.socket(fileno=int(descriptor))
    preload(name)
    if threads() != 1:
        sys.stderr.write("a library has started a thread while it was imported: nothing is forked from here\n")
        return EXIT_THREADS
    return Template(control, float(idle_seconds)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
