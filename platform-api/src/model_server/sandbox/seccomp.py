"""The filter of system calls: a classic BPF program, built here and installed through prctl.

By hand, because the only binding to libseccomp (pyseccomp) is not maintained, needs a library of the system, and writes a
temporary file when it is imported. Deny by default: what syscalls.py does not list answers EPERM.
"""

import ctypes
import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from model_server.sandbox import syscalls

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

_CLONE_THREAD = 0x00010000
# NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_CLONE_NEW = 0x7E020000
_MSG_FASTOPEN = 0x20000000
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2: nothing that types into a terminal
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
# duplicates, flags, locks, pipe sizes: not F_SETOWN and F_SETSIG, which send signals to others
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032)
# PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_SET_VMA: not PR_SET_PDEATHSIG, PR_SET_PTRACER, PR_SET_MM
_PRCTL = (3, 15, 16, 23, 0x53564D41)


@dataclass(frozen=True)
class Condition:
    """One argument's condition: its lower half is `one of` the values, has `any` or `none` of their bits, or all of it is
    `null`.
    """

    argument: int
    kind: Literal["one of", "any", "none", "null"]
    values: tuple[int, ...] = ()


def conditions(own_pid: int) -> dict[str, tuple[Condition, ...]]:
    """Return what the arguments of each conditional call must be, all of them, for the process of this id."""
    return {
        "clone": (Condition(0, "any", (_CLONE_THREAD,)), Condition(0, "none", (_CLONE_NEW,))),
        # a stream pair only: a datagram socket sends to any address, and so to any Unix socket of the machine
        "socketpair": (Condition(0, "one of", (1,)), Condition(1, "none", (0xE,)), Condition(1, "any", (1,))),
        "sendto": (Condition(4, "null"), Condition(3, "none", (_MSG_FASTOPEN,))),
        "sendmsg": (Condition(2, "none", (_MSG_FASTOPEN,)),),
        "kill": (Condition(0, "one of", (own_pid,)),),
        "tgkill": (Condition(0, "one of", (own_pid,)),),
        "prlimit64": (Condition(0, "one of", (0, own_pid)), Condition(2, "null")),
        "sched_setaffinity": (Condition(0, "one of", (0,)),),
        "ioctl": (Condition(1, "one of", _IOCTL),),
        "fcntl": (Condition(1, "one of", _FCNTL),),
        "prctl": (Condition(0, "one of", _PRCTL),),
    }


Instruction = tuple[int, int, int, int]


def program(machine: str, own_pid: int) -> list[Instruction]:
    """Return the filter as (code, jump if true, jump if false, operand). Raises KeyError for an unknown architecture."""
    refuse: Instruction = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    unknown: Instruction = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    allow: Instruction = (_RETURN, 0, 0, _ALLOW)
    built: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, syscalls.ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        # also everything of the x32 interface, whose numbers start far above
        (_AT_LEAST, 0, 1, syscalls.NEWEST + 1),
        unknown,
    ]
    for number in syscalls.unknown(machine).values():
        built += [(_EQUAL, 0, 1, number), unknown]
    numbers, wanted = syscalls.conditional(machine), conditions(own_pid)
    for name, number in numbers.items():
        body = _body(wanted[name], allow, refuse)
        built += [(_EQUAL, 0, len(body), number), *body]
    for number in syscalls.allowed(machine).values():
        built += [(_EQUAL, 0, 1, number), allow]
    return [*built, refuse]


def _body(wanted: Sequence[Condition], allow: Instruction, refuse: Instruction) -> list[Instruction]:
    body: list[Instruction] = []
    for condition in wanted:
        low = _ARGUMENTS + 8 * condition.argument
        if condition.kind == "null":
            body += [(_LOAD, 0, 0, low + 4), (_EQUAL, 1, 0, 0), refuse, (_LOAD, 0, 0, low), (_EQUAL, 1, 0, 0), refuse]
            continue
        body.append((_LOAD, 0, 0, low))
        if condition.kind == "one of":
            count = len(condition.values)
            body += [(_EQUAL, count - place, 0, value) for place, value in enumerate(condition.values)]
        elif condition.kind == "any":
            body.append((_ANY_BIT, 1, 0, condition.values[0]))
        else:
            body.append((_ANY_BIT, 0, 1, condition.values[0]))
        body.append(refuse)
    return [*body, allow]


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def install(built: Sequence[Instruction]) -> None:
    """Filter every later call of this thread and of those it starts. Needs no-new-privileges. Raises OSError."""
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in built)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    described = _Program(len(built), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(described), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")
