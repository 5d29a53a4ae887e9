"""What hostile model code tries, one function each: it returns what it got, or raises. Run in a process of its own.

Standard library only, and nothing of the sandbox: the same code runs confined and free (hostile_process.py).
"""

import contextlib
import ctypes
import fcntl
import os
import platform
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

World = dict[str, Any]
Payload = Callable[[World], Any]
PAYLOADS: dict[str, Payload] = {}
_LIBC = ctypes.CDLL(None, use_errno=True)


def payload(function: Payload) -> Payload:
    PAYLOADS[function.__name__] = function
    return function


def _syscall(number: int, *arguments: Any) -> int:
    got = int(_LIBC.syscall(number, *arguments))
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def _checked(got: int) -> bool:
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True


def _reads(path: str) -> Payload:
    return lambda world: (Path(world["home"]) / path).read_bytes()


for _name, _path in {
    "read_the_issuers_key": "keys/issuer.pem",
    "read_the_audit_key": "keys/audit.pem",
    "read_the_pseudonym_key": "keys/audit-pseudonyms.key",
    "read_the_signing_key": "keys/models.pem",
    "read_the_database_password": "postgres/password",
    "read_another_bundle": "bundles/other/model.pkl",
    "read_the_platforms_state": "run/state.json",
}.items():
    PAYLOADS[_name] = _reads(_path)


@payload
def list_the_bundles(world: World) -> Any:
    return [*(Path(world["home"]) / "bundles").iterdir()]


@payload
def read_accounts(_: World) -> Any:
    return Path("/etc/passwd").read_text()


@payload
def read_an_environment(world: World) -> Any:
    return b"secret" in Path(f"/proc/{world['victim']}/environ").read_bytes()


@payload
def read_every_environment(_: World) -> Any:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        # some belong to the system alone
        with contextlib.suppress(OSError):
            if path.parts[2] != str(os.getpid()):
                found.append(path.read_bytes())
    if not found:
        raise PermissionError("no environment of another process can be read")
    return found


@payload
def read_through_own_root(world: World) -> Any:
    return Path(f"/proc/self/root{world['home']}/keys/issuer.pem").read_bytes()


@payload
def read_through_own_descriptors(world: World) -> Any:
    return os.read(int(world["left_open"]), 10)


@payload
def read_the_memory_of_another(world: World) -> Any:
    with Path(f"/proc/{world['victim']}/mem").open("rb") as memory:
        return memory.fileno() > 0


@payload
def ptrace(world: World) -> Any:
    _checked(_LIBC.ptrace(16, world["victim"], None, None))
    os.waitpid(world["victim"], 0x40000000)
    return _checked(_LIBC.ptrace(17, world["victim"], None, None))


@payload
def find_a_secret_in_the_environment(_: World) -> Any:
    return os.environ["MLOPS_DATABASE_URL"]


@payload
def be_told_a_library_to_load(_: World) -> Any:
    return os.environ["OPENSSL_CONF"]


@payload
def connect_to_the_database_socket(world: World) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(world["database_socket"])
        return True


@payload
def connect_to_another_models_socket(world: World) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(world["model_socket"])
        return True


@payload
def connect_to_an_abstract_socket(world: World) -> Any:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{world['abstract']}")
        return True


@payload
def send_to_a_datagram_socket_by_a_pair(world: World) -> Any:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        return one.sendto(b"x", world["datagram_socket"])


@payload
def reach_the_api(world: World) -> Any:
    with socket.create_connection(("127.0.0.1", world["api"]), timeout=5):
        return True


@payload
def reach_mlflow_over_ipv6(world: World) -> Any:
    with socket.create_connection(("::1", world["mlflow"]), timeout=5):
        return True


@payload
def send_udp(world: World) -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        return client.sendto(b"x", ("127.0.0.1", world["udp"]))


@payload
def address_the_internet(_: World) -> Any:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        # chooses a route, sends nothing
        client.connect(("127.0.0.2", 53))
        return client.getsockname()


@payload
def open_a_port(_: World) -> Any:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()


@payload
def talk_to_the_kernel_by_netlink(_: World) -> Any:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.bind((0, 0))
        return True


@payload
def use_io_uring(_: World) -> Any:
    return os.close(_syscall(425, 2, ctypes.create_string_buffer(120))) is None


@payload
def write_the_home(world: World) -> Any:
    return (Path(world["home"]) / "planted").write_text("x")


@payload
def change_a_bundle(world: World) -> Any:
    with (Path(world["home"]) / "bundles" / "other" / "model.pkl").open("r+b") as stream:
        return stream.write(b"x")


@payload
def replace_a_socket(world: World) -> Any:
    target = Path(world["home"]) / "runtime" / "replaced.sock"
    target.unlink()
    with socket.socket(socket.AF_UNIX) as planted:
        planted.bind(str(target))
        return True


@payload
def move_a_file(world: World) -> Any:
    (Path(world["home"]) / "moved").rename(Path(world["home"]) / "moved.away")
    return True


@payload
def change_permissions(world: World) -> Any:
    return (Path(world["home"]) / "touched").chmod(0o777) is None


@payload
def change_times(world: World) -> Any:
    return os.utime(Path(world["home"]) / "touched", (1, 1)) is None


@payload
def change_attributes(world: World) -> Any:
    return os.setxattr(Path(world["home"]) / "touched", "user.planted", b"x") is None


@payload
def empty_a_file(world: World) -> Any:
    return os.truncate(Path(world["home"]) / "emptied", 0) is None


@payload
def link_a_key_into_scratch(world: World) -> Any:
    os.link(Path(world["home"]) / "keys" / "issuer.pem", Path(world["scratch"]) / "linked")
    return True


@payload
def plant_a_symbolic_link(world: World) -> Any:
    return (Path(world["scratch"]) / "link").symlink_to("/etc/passwd") is None


@payload
def plant_a_pipe(world: World) -> Any:
    return os.mkfifo(Path(world["scratch"]) / "pipe") is None


@payload
def write_shared_memory(_: World) -> Any:
    path = Path("/dev/shm") / f"planted-{os.getpid()}"
    path.write_text("x")
    return path.unlink() is None


@payload
def use_system_v_memory(_: World) -> Any:
    return _checked(_LIBC.shmctl(_LIBC.shmget(0, 4096, 0o1600), 0, None))


@payload
def fork(_: World) -> Any:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0)


@payload
def run_a_shell(_: World) -> Any:
    return subprocess.run(["/bin/sh", "-c", "echo ran"], capture_output=True, check=True).stdout


@payload
def become_a_program(_: World) -> Any:
    os.execv("/bin/echo", ["echo", "REACHED"])


@payload
def run_from_memory(_: World) -> Any:
    return os.memfd_create("x") > 0


@payload
def start_threads_without_end(_: World) -> Any:
    done, started = threading.Event(), []
    try:
        for _number in range(400):
            thread = threading.Thread(target=done.wait)
            thread.start()
            started.append(thread)
    except RuntimeError as error:
        raise OSError(str(error)) from error
    else:
        return True
    finally:
        done.set()


@payload
def read_later_from_a_thread(world: World) -> Any:
    found: list[Any] = []

    def wait_and_read() -> None:
        try:
            found.append((Path(world["home"]) / "keys" / "issuer.pem").read_bytes())
        except OSError as error:
            found.append(error)

    # as one that waits for minutes would: after everything else is loaded
    timer = threading.Timer(0.05, wait_and_read)
    timer.start()
    timer.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


@payload
def take_all_memory(_: World) -> Any:
    try:
        return len(bytearray(3 << 30))
    except MemoryError as error:
        raise OSError("memory") from error


@payload
def write_a_huge_file(world: World) -> Any:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with (Path(world["scratch"]) / "huge").open("wb") as stream:
        for _ in range(40):
            stream.write(bytes(1 << 20))
    (Path(world["scratch"]) / "huge").unlink()
    return True


@payload
def raise_own_limits(_: World) -> Any:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 64), hard)) is None


@payload
def limit_another_process(world: World) -> Any:
    return resource.prlimit(world["victim"], resource.RLIMIT_NOFILE)


@payload
def signal_another_process(world: World) -> Any:
    return os.kill(world["victim"], 0) is None


@payload
def signal_every_process_of_the_group(_: World) -> Any:
    return os.killpg(os.getpgrp(), 0) is None


@payload
def signal_by_a_descriptor(world: World) -> Any:
    return signal.pidfd_send_signal(os.pidfd_open(world["victim"]), signal.Signals.SIGCONT) is None


@payload
def signal_by_the_owner_of_a_descriptor(world: World) -> Any:
    reading, _ = os.pipe()
    return fcntl.fcntl(reading, fcntl.F_SETOWN, world["victim"]) == 0


@payload
def slow_another_process_down(world: World) -> Any:
    return os.setpriority(os.PRIO_PROCESS, world["victim"], 19) is None


@payload
def move_another_process_to_one_processor(world: World) -> Any:
    return os.sched_setaffinity(world["victim"], os.sched_getaffinity(0)) is None


@payload
def outlive_the_parent(_: World) -> Any:
    return _checked(_LIBC.prctl(1, 0, 0, 0, 0))


@payload
def enter_a_user_namespace(_: World) -> Any:
    return _checked(_LIBC.unshare(0x10000000))


@payload
def watch_files(world: World) -> Any:
    return _checked(_LIBC.inotify_add_watch(_LIBC.inotify_init(), os.fsencode(world["home"]), 0x100))


def _number(x86: int, arm: int) -> int:
    return x86 if platform.machine() == "x86_64" else arm


@payload
def read_the_arguments_of_another(world: World) -> Any:
    return Path(f"/proc/{world['victim']}/cmdline").read_bytes()


@payload
def read_the_kernels_log(_: World) -> Any:
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    return os.read(descriptor, 8_192)


@payload
def open_a_key_by_its_handle(world: World) -> Any:
    """A handle names a file without its path, which Landlock would judge."""
    handle = ctypes.create_string_buffer(8 + 128)
    ctypes.memmove(handle, (128).to_bytes(4, "little"), 4)
    path, place = os.fsencode(f"{world['home']}/keys/issuer.pem"), ctypes.c_int()
    _syscall(_number(303, 264), -100, path, handle, ctypes.byref(place), 0)
    descriptor = os.open(world["home"], os.O_RDONLY)
    return os.read(_syscall(_number(304, 265), descriptor, handle, os.O_RDONLY), 100)


@payload
def take_a_descriptor_of_another(world: World) -> Any:
    return _syscall(438, _syscall(434, world["victim"], 0), 1, 0) >= 0


@payload
def join_a_namespace_of_another(world: World) -> Any:
    descriptor = os.open(f"/proc/{world['victim']}/ns/uts", os.O_RDONLY)
    return _syscall(_number(308, 268), descriptor, 0) == 0


@payload
def keep_a_secret_in_the_kernel(_: World) -> Any:
    """A key of the user outlives the process, for the next model to find."""
    return _syscall(_number(248, 217), b"user", b"left-behind", b"secret", 6, -4) > 0


@payload
def catch_page_faults(_: World) -> Any:
    return _syscall(_number(323, 282), os.O_CLOEXEC | 1) >= 0


@payload
def be_told_of_changes_by_a_signal(world: World) -> Any:
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    descriptor = os.open(world["home"], os.O_RDONLY)
    fcntl.fcntl(descriptor, fcntl.F_NOTIFY, fcntl.DN_MODIFY | fcntl.DN_CREATE)
    return True


@payload
def watch_a_whole_file_system(_: World) -> Any:
    return _syscall(_number(300, 262), 0, os.O_RDONLY) >= 0


@payload
def make_a_folder_in_the_home(world: World) -> Any:
    folder = Path(world["home"]) / f"planted-{os.getpid()}"
    folder.mkdir()
    folder.rmdir()
    return True


@payload
def change_what_a_program_is(_: World) -> Any:
    """Addresses without randomness make the next fault easier to use."""
    return _syscall(_number(135, 92), 0x0040000) >= 0 and _syscall(_number(135, 92), 0xFFFFFFFF) & 0x0040000
