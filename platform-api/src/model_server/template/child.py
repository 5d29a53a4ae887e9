"""What a forked process does before it is the program that was asked for. It has inherited everything, and keeps nothing."""

import gc
import importlib
import os
import random
import socket
import struct
import sys
import time
import traceback
from collections.abc import Mapping
from typing import NoReturn

from model_server.template.messages import EXIT_NOT_STARTED, FRAME, PID, BadRequest, Request, receive_request

_STANDARD = 3


def become(connection: socket.socket) -> NoReturn:
    """Say who we are, read what to be, be it, and end. Nothing of the request was ever in the template's memory."""
    code = EXIT_NOT_STARTED
    try:
        os.setsid()
        connection.sendall(FRAME.pack(PID, os.getpid()))
        received = receive_request(connection)
        if received is not None:
            request, descriptors = received
            # whoever runs here next must not be able to speak for the template
            connection.close()
            _take(descriptors)
            _forget_the_template(request)
            code = _run(request)
    except (BadRequest, OSError) as error:
        os.write(2, f"this process could not be started: {error}\n".encode())
    except BaseException:  # noqa: BLE001 - the end of this process, as an interpreter ends it
        traceback.print_exc()
        code = 1
    _end(code)


def _take(descriptors: Mapping[int, int]) -> None:
    """Give each descriptor the number that was asked for, and close every other one."""
    held = {}
    for wanted, received in descriptors.items():
        number = received
        # out of each other's way: what is left behind is closed below
        while number in descriptors:
            number = os.dup(number)
        held[wanted] = number
    for wanted, number in held.items():
        os.dup2(number, wanted, inheritable=wanted < _STANDARD)
    last = 2
    # 0, 1 and 2 are always among them
    for wanted in sorted(descriptors.keys() - {0, 1, 2}):
        os.closerange(last + 1, wanted)
        last = wanted
    os.closerange(last + 1, max(os.sysconf("SC_OPEN_MAX"), last + 1))


def _forget_the_template(request: Request) -> None:
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.chdir(request.folder)
    # `random` sows itself anew after a fork; numpy's would give every model the same numbers
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(struct.unpack("8I", os.urandom(32)))
    gc.enable()


def _run(request: Request) -> int:
    """Run the program as `python -m` would, and return its exit code."""
    module = importlib.import_module(request.program)
    sys.argv = [str(module.__file__), *request.arguments]
    sys.modules["__main__"] = module
    try:
        return int(module.main())
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1


def _end(code: int) -> NoReturn:
    """End without taking apart what is shared: that would copy all of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1
    os._exit(code & 0xFF)
