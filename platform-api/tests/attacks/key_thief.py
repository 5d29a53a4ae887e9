"""A process that has been taken over and wants the key of statements: runs one attack, prints REACHED, or why not.

Arguments: the attack's name, and the world as JSON. Standard library only.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

World = dict[str, Any]
LIBC = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH, _PIDFD_GETFD, _PIDFD_OPEN, _AT_FDCWD = 16, 438, 434, -100
_CLONE_NEWUSER, _CLONE_NEWNS, _MS_BIND = 0x10000000, 0x00020000, 0x1000


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _holds_the_key(content: bytes) -> bool:
    return b"PRIVATE KEY" in content


def read_it(world: World) -> bool:
    return _holds_the_key(Path(world["key"]).read_bytes())


def have_another_program_read_it(world: World) -> bool:
    ended = subprocess.run(["cat", world["key"]], capture_output=True, check=False)
    if ended.returncode:
        raise OSError(ended.stderr.decode())
    return _holds_the_key(ended.stdout)


def give_it_a_second_name(world: World) -> bool:
    name = Path(world["writable"]) / "second"
    os.link(world["key"], name)
    return _holds_the_key(name.read_bytes())


def lead_a_link_to_it(world: World) -> bool:
    name = Path(world["writable"]) / "link"
    name.unlink(missing_ok=True)
    name.symlink_to(world["key"])
    return _holds_the_key(name.read_bytes())


def move_its_folder(world: World) -> bool:
    moved = Path(world["writable"]) / "moved"
    Path(world["key"]).parent.rename(moved)
    found = (moved / "statements.pem").read_bytes()
    moved.rename(Path(world["key"]).parent)
    return _holds_the_key(found)


def put_ones_own_in_its_place(world: World) -> bool:
    fresh = Path(world["writable"]) / "own.pem"
    fresh.write_text("mine")
    fresh.replace(world["key"])
    return True


def put_ones_own_public_half_in_place(world: World) -> bool:
    Path(world["public"]).write_text("mine")
    return True


def empty_it(world: World) -> bool:
    os.truncate(world["key"], 0)
    return True


def read_the_workers_memory(world: World) -> bool:
    for line in Path(f"/proc/{world['worker']}/maps").read_text().splitlines():
        if "[heap]" in line or " rw-p " in line:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            with Path(f"/proc/{world['worker']}/mem").open("rb", buffering=0) as memory:
                memory.seek(begin)
                if b"worth signing" in (memory.read(min(end - begin, 8 << 20)) or b""):
                    return True
    return False


def trace_the_worker(world: World) -> bool:
    _checked(LIBC.ptrace(_PTRACE_ATTACH, world["worker"], 0, 0))
    return True


def read_it_through_the_workers_root(world: World) -> bool:
    return _holds_the_key(Path(f"/proc/{world['worker']}/root{world['key']}").read_bytes())


def open_the_workers_descriptor(world: World) -> bool:
    return _holds_the_key(Path(f"/proc/{world['worker']}/fd/{world['descriptor']}").read_bytes())


def take_the_workers_descriptor(world: World) -> bool:
    process = _checked(LIBC.syscall(_PIDFD_OPEN, world["worker"], 0))
    taken = _checked(LIBC.syscall(_PIDFD_GETFD, process, world["descriptor"], 0))
    return _holds_the_key(os.pread(taken, 1000, 0))


def stop_the_worker(world: World) -> bool:
    os.kill(world["worker"], signal.SIGCONT)
    return True


def change_what_the_worker_imports(world: World) -> bool:
    (Path(world["home"]) / "feast" / "definitions.py").write_text("print('mine')")
    return True


def add_to_what_the_worker_imports(world: World) -> bool:
    (Path(world["home"]) / "feast" / "more.py").write_text("print('mine')")
    return True


def change_the_libraries(world: World) -> bool:
    (Path(world["libraries"]) / "mine.pth").write_text("import mine")
    return True


def order_a_model_process(world: World) -> bool:
    (Path(world["home"]) / "runtime" / "specs" / "mine.json").write_text("{}")
    return True


def change_a_bundle(world: World) -> bool:
    (Path(world["home"]) / "bundles" / "b" / "bundle.json").write_text("{}")
    return True


def mount_it_elsewhere(world: World) -> bool:
    _checked(LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    place = Path(world["writable"]) / "mounted"
    place.mkdir(exist_ok=True)
    _checked(LIBC.mount(os.fsencode(Path(world["key"]).parent), os.fsencode(place), None, _MS_BIND, None))
    return _holds_the_key((place / "statements.pem").read_bytes())


def open_it_by_its_handle(world: World) -> bool:
    class Handle(ctypes.Structure):
        _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_char * 128))

    handle, mount = Handle(128, 0), ctypes.c_int()
    name = os.fsencode(world["key"])
    _checked(LIBC.name_to_handle_at(_AT_FDCWD, name, ctypes.byref(handle), ctypes.byref(mount), 0))
    beside = os.open(world["writable"], os.O_RDONLY)
    opened = _checked(LIBC.open_by_handle_at(beside, ctypes.byref(handle), os.O_RDONLY))
    return _holds_the_key(os.pread(opened, 1000, 0))


def make_the_disk_as_a_device(world: World) -> bool:
    device = Path(world["writable"]) / "disk"
    os.mknod(device, 0o600 | 0o060000, os.makedev(7, 0))
    device.unlink()
    return True


def change_the_kernels_settings(_world: World) -> bool:
    # opened, not changed: a program named there runs as root
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return True


def leave_a_task_for_root(_world: World) -> bool:
    place = Path("/etc/mlops-attacked")
    place.write_text("")
    place.unlink()
    return True


ATTACKS: dict[str, Callable[[World], bool]] = {
    attack.__name__: attack
    for attack in (
        read_it,
        have_another_program_read_it,
        give_it_a_second_name,
        lead_a_link_to_it,
        move_its_folder,
        put_ones_own_in_its_place,
        put_ones_own_public_half_in_place,
        empty_it,
        read_the_workers_memory,
        trace_the_worker,
        read_it_through_the_workers_root,
        open_the_workers_descriptor,
        take_the_workers_descriptor,
        stop_the_worker,
        change_what_the_worker_imports,
        add_to_what_the_worker_imports,
        change_the_libraries,
        order_a_model_process,
        change_a_bundle,
        mount_it_elsewhere,
        open_it_by_its_handle,
        make_the_disk_as_a_device,
        change_the_kernels_settings,
        leave_a_task_for_root,
    )
}


if __name__ == "__main__":
    try:
        got = ATTACKS[sys.argv[1]](json.loads(sys.argv[2]))
    except OSError as error:
        sys.stdout.write(f"withstood: {type(error).__name__} {error}\n")
    else:
        sys.stdout.write("REACHED\n" if got else "withstood: nothing there\n")
