"""The exit codes of every command, in one place; scripts may rely on them.

0  it worked
1  the platform answered with a problem (or a check found one); the sentence says which
2  the command line is wrong
3  the platform is not running, or not reachable
4  the platform does not know who is calling, or does not allow it
5  the time given with --timeout is over; what was waited for has not happened yet
"""

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    WAITING = 5


class CommandFailed(Exception):
    """A command ends here: a sentence, what to do next, and the exit code."""

    def __init__(self, code: Exit, sentence: str, todo: str = "", problem: dict[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.todo = todo
        self.problem = problem

    def body(self) -> dict[str, Any]:
        """Return what --json prints on standard error."""
        return {**(self.problem or {"detail": self.sentence}), "exit_code": int(self.code), "next": self.todo}
