"""The filter of system calls, run by a small interpreter: what each architecture's program answers to each call."""

import errno
import struct

import pytest

from model_server.sandbox import seccomp, syscalls

ALLOWED, KILLED = 0x7FFF0000, 0x80000000
REFUSED, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
PID = 4711
# numbers of what must not be there: socket, connect, bind, execve, ptrace, fchmodat, mount, bpf
REFUSED_CALLS = {"x86_64": (41, 42, 49, 59, 101, 268, 165, 321), "aarch64": (198, 203, 200, 221, 117, 53, 40, 280)}


def answer(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the program answers, as the kernel runs it."""
    found = syscalls.ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("=IIQ6Q", number, found, 0, *[*arguments, *([0] * 6)][:6])
    program, at, held = seccomp.program(machine, PID), 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            held = struct.unpack_from("=I", data, operand)[0]
            continue
        holds = {0x15: held == operand, 0x35: held >= operand, 0x45: bool(held & operand)}[code]
        at += if_true if holds else if_false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_what_is_listed_is_allowed_and_all_else_is_refused(machine: str) -> None:
    allowed = syscalls.allowed(machine)
    assert {name for name, number in allowed.items() if answer(machine, number) != ALLOWED} == set()
    taken = {*allowed.values(), *syscalls.conditional(machine).values(), *syscalls.unknown(machine).values()}
    others = set(range(syscalls.NEWEST + 1)) - taken
    assert {answer(machine, number) for number in others} == {REFUSED}
    assert set(REFUSED_CALLS[machine]) <= others
    assert {answer(machine, number) for number in syscalls.unknown(machine).values()} == {UNKNOWN}
    assert len(seccomp.program(machine, PID)) < 4096


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_newer_calls_other_interfaces_and_other_architectures_do_not_pass(machine: str) -> None:
    assert answer(machine, syscalls.NEWEST + 1) == UNKNOWN
    # the x32 interface: the same calls under other numbers
    assert answer(machine, 0x40000000 + 41) == UNKNOWN
    # 32-bit code in a 64-bit process
    assert answer(machine, 1, architecture=0x40000003) == KILLED


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("name", "arguments", "passes"),
    [
        ("clone", (0x3D0F00,), True),  # as pthread_create
        ("clone", (17,), False),  # as fork
        ("clone", (0x10000 | 0x10000000,), False),
        ("socketpair", (1, 1 | 0x80000), True),
        ("socketpair", (1, 2), False),
        ("socketpair", (2, 1), False),
        ("sendto", (3, 0, 1, 0, 0), True),
        ("sendto", (3, 0, 1, 0, 0x7FFF00000000), False),
        ("sendto", (3, 0, 1, 0x20000000, 0), False),
        ("sendmsg", (3, 0, 0x4000), True),
        ("sendmsg", (3, 0, 0x20000000), False),
        ("kill", (PID, 15), True),
        ("kill", (1, 15), False),
        ("kill", (0xFFFFFFFF, 15), False),
        ("tgkill", (PID, 5, 6), True),
        ("tgkill", (1, 1, 6), False),
        ("prlimit64", (0, 7, 0), True),
        ("prlimit64", (0, 7, 0x7FFF00000000), False),
        ("prlimit64", (1, 7, 0), False),
        ("sched_setaffinity", (0,), True),
        ("sched_setaffinity", (1,), False),
        ("ioctl", (0, 0x5421), True),
        ("ioctl", (0, 0x5412), False),  # TIOCSTI types into a terminal
        ("fcntl", (0, 4), True),
        ("fcntl", (0, 8), False),  # F_SETOWN
        ("prctl", (15,), True),
        ("prctl", (1,), False),  # PR_SET_PDEATHSIG
    ],
)
def test_arguments_decide_where_a_call_is_two_things(
    machine: str, name: str, arguments: tuple[int, ...], passes: bool
) -> None:
    found = answer(machine, syscalls.conditional(machine)[name], *arguments)
    assert found == (ALLOWED if passes else REFUSED)
