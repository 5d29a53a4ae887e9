"""A template whose list has one program more, `reporter`. Arguments: the descriptor of its owner's socket."""

import gc
import json
import os
import random
import signal
import socket
import sys
import types
from pathlib import Path

import numpy as np

from model_server.template import messages
from model_server.template.__main__ import Template
from model_server.template.preload import threads


def main() -> int:
    match sys.argv[1:]:
        case ["wait"]:
            signal.pause()
        case ["end", code]:
            sys.exit(int(code))
        case ["fail"]:
            raise ZeroDivisionError
        case ["read"]:
            found = {}
            for number in range(3, 30):
                try:
                    found[number] = os.pread(number, 100, 0).decode()
                except OSError:
                    found[number] = ""
            sys.stdout.write(json.dumps(found))
        case _:
            report = {
                "argv": sys.argv,
                "environment": dict(os.environ),
                "folder": str(Path.cwd()),
                # the first is that of the listing itself
                "descriptors": [
                    int(path.name) for path in [*Path("/proc/self/fd").iterdir()] if _is_open(int(path.name))
                ],
                "session": os.getsid(0),
                "pid": os.getpid(),
                "threads": threads(),
                "collects": gc.isenabled(),
                "main": sys.modules["__main__"].__name__,
                "random": [random.random(), float(np.random.random())],  # noqa: NPY002 - the one that is shared
            }
            sys.stdout.write(json.dumps(report))
    return 0


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


reporter = types.ModuleType("reporter")
reporter.__file__ = __file__
reporter.main = main  # type: ignore[attr-defined]
sys.modules["reporter"] = reporter
messages.PROGRAMS = messages.PROGRAMS | {"reporter"}
gc.disable()
sys.exit(Template(socket.socket(fileno=int(sys.argv[1])), 0).run())
