"""The system calls a model process may make, with their numbers. Data only; every other call is refused.

Each line is a name and its number on x86_64 and on aarch64 (`-`: the architecture has no such call), as in the kernel's
`asm/unistd_64.h` and `asm-generic/unistd.h`. Absent on purpose: socket, connect, bind (the listening socket exists before),
execve, fork and vfork, clone3 and every namespace, ptrace and process_vm_*, chmod, chown, utime and xattr families, links and
device files, mount, memfd_create, io_uring, bpf, perf, userfaultfd, keyctl, shared memory and message queues, modules, kexec.
"""

import platform

# seccomp's name of an architecture: EM_X86_64 and EM_AARCH64, 64 bits, little endian
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "arm64": 0xC00000B7}

_ANY_ARGUMENTS = """
read 0 63|write 1 64|readv 19 65|writev 20 66|pread64 17 67|pwrite64 18 68|preadv 295 69|pwritev 296 70|preadv2 327 286
pwritev2 328 287|close 3 57|close_range 436 436|lseek 8 62|open 2 -|openat 257 56|stat 4 -|lstat 6 -|fstat 5 80
newfstatat 262 79|statx 332 291|access 21 -|faccessat 269 48|faccessat2 439 439|readlink 89 -|readlinkat 267 78|getcwd 79 17
chdir 80 49|getdents 78 -|getdents64 217 61|mkdir 83 -|mkdirat 258 34|unlink 87 -|unlinkat 263 35|rmdir 84 -|rename 82 -
renameat 264 38|renameat2 316 276|ftruncate 77 46|fsync 74 82|fdatasync 75 83|fallocate 285 47|dup 32 23|dup2 33 -|dup3 292 24
pipe 22 -|pipe2 293 59|flock 73 32|fadvise64 221 223|statfs 137 43|fstatfs 138 44|umask 95 166|sendfile 40 71
mmap 9 222|munmap 11 215|mprotect 10 226|mremap 25 216|madvise 28 233|brk 12 214|mlock 149 228|munlock 150 229|mlock2 325 284
msync 26 227|mincore 27 232|membarrier 324 283|get_mempolicy 239 236
futex 202 98|futex_waitv 449 449|set_robust_list 273 99|rseq 334 293|set_tid_address 218 96|gettid 186 178|getpid 39 172
getppid 110 173|sched_yield 24 124|sched_getaffinity 204 123|sched_get_priority_max 146 125|sched_get_priority_min 147 126
sched_getparam 143 121|sched_getscheduler 145 120|exit 60 93|exit_group 231 94|nanosleep 35 101|clock_nanosleep 230 115
clock_gettime 228 113|clock_getres 229 114|gettimeofday 96 169|time 201 -|times 100 153|getrusage 98 165|sysinfo 99 179
uname 63 160|getrandom 318 278|getcpu 309 168|rt_sigaction 13 134|rt_sigprocmask 14 135|rt_sigreturn 15 139|sigaltstack 131 132
rt_sigpending 127 136|rt_sigtimedwait 128 137|rt_sigsuspend 130 133|restart_syscall 219 128|pause 34 -|alarm 37 -
setitimer 38 103|getitimer 36 102|timerfd_create 283 85|timerfd_settime 286 86|timerfd_gettime 287 87
getuid 102 174|geteuid 107 175|getgid 104 176|getegid 108 177|getgroups 115 158|getresuid 118 148|getresgid 120 150
getpgid 121 155|getpgrp 111 -|getsid 124 156|getrlimit 97 163|getpriority 140 141|capget 125 90|wait4 61 260|waitid 247 95
poll 7 -|ppoll 271 73|select 23 -|pselect6 270 72|epoll_create 213 -|epoll_create1 291 20|epoll_ctl 233 21|epoll_wait 232 -
epoll_pwait 281 22|epoll_pwait2 441 441|eventfd 284 -|eventfd2 290 19
accept 43 202|accept4 288 242|listen 50 201|recvfrom 45 207|recvmsg 47 212|shutdown 48 210|getsockname 51 204
getpeername 52 205|getsockopt 55 209|setsockopt 54 208|arch_prctl 158 -
"""
# allowed with some arguments only: seccomp.py has the conditions
_SOME_ARGUMENTS = """
clone 56 220|socketpair 53 199|sendto 44 206|sendmsg 46 211|kill 62 129|tgkill 234 131|prlimit64 302 261
sched_setaffinity 203 122|ioctl 16 29|fcntl 72 25|prctl 157 167
"""
# answered as if the kernel did not have them: libraries then take the older way
_UNKNOWN = "clone3 435 435|io_uring_setup 425 425|io_uring_enter 426 426|io_uring_register 427 427"
# a newer kernel's calls are in no table of ours: unknown as well
NEWEST = 462


def _numbers(table: str, machine: str) -> dict[str, int]:
    place = 1 if machine == "x86_64" else 2
    entries = [entry.split() for entry in table.strip().replace("\n", "|").split("|")]
    return {entry[0]: int(entry[place]) for entry in entries if entry[place] != "-"}


def allowed(machine: str) -> dict[str, int]:
    """Return the calls allowed with any arguments: name and number."""
    return _numbers(_ANY_ARGUMENTS, machine)


def conditional(machine: str) -> dict[str, int]:
    """Return the calls allowed with some arguments."""
    return _numbers(_SOME_ARGUMENTS, machine)


def unknown(machine: str) -> dict[str, int]:
    """Return the calls that are answered with ENOSYS."""
    return _numbers(_UNKNOWN, machine)


def machine() -> str:
    """Return this machine's architecture as the kernel names it."""
    return platform.machine()
