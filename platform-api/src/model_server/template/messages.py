"""What the owner of a template and the processes forked from it say to each other. Pure but for the sockets they are given.

A request is a length and JSON; its descriptors come with the length. What comes back are frames of five bytes: the forked
process's id, and, when it has ended, how.
"""

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# what may be asked for: a request that names anything else ends its own process
PROGRAMS = frozenset(
    {
        "model_server.serve.__main__",
        "model_server.build.inspect",
        "model_server.build.worker",
        "model_server.build.prove",
    }
)
# a forked process that could not become what was asked, as a shell says it
EXIT_NOT_STARTED = 126
FRAME = struct.Struct("!ci")
PID, STATUS = b"p", b"s"
_LENGTH = struct.Struct("!I")
_LONGEST, _MOST_DESCRIPTORS, _HIGHEST = 4 << 20, 16, 1 << 20


class BadRequest(ValueError):
    """The request is none: the sentence says why."""


@dataclass(frozen=True)
class Request:
    """What a forked process becomes: a program of the list, and all that a process gets at its start."""

    program: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str


def request_of(argv: list[str], environment: Mapping[str, str], folder: str, interpreter: str) -> Request | None:
    """Return the request that is the same as this command; None for any other command than one of the list, isolated."""
    if argv[:3] != [interpreter, "-I", "-m"] or len(argv) < 4:  # noqa: PLR2004 - and the program's name
        return None
    program = next((name for name in (argv[3], f"{argv[3]}.__main__") if name in PROGRAMS), None)
    return None if program is None else Request(program, argv[4:], dict(environment), folder)


def send_request(connection: socket.socket, request: Request, descriptors: Mapping[int, int]) -> None:
    """Send the request and its descriptors: {number in the new process: number here}. Raises OSError."""
    content = json.dumps({**asdict(request), "descriptors": list(descriptors)}).encode()
    socket.send_fds(connection, [_LENGTH.pack(len(content))], list(descriptors.values()))
    connection.sendall(content)


def receive_request(connection: socket.socket) -> tuple[Request, dict[int, int]] | None:
    """Return the request, and {number wanted: number received}; None when the owner has gone. Raises BadRequest, OSError."""
    head, received, _, _ = socket.recv_fds(connection, _LENGTH.size, _MOST_DESCRIPTORS)
    if not head:
        return None
    if len(head) < _LENGTH.size or (length := _LENGTH.unpack(head)[0]) > _LONGEST:
        raise BadRequest("the request has no length, or is too long")
    content = bytearray()
    while len(content) < length:
        part = connection.recv(length - len(content))
        if not part:
            return None
        content += part
    try:
        said = json.loads(content)
        wanted = said.pop("descriptors")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRequest("the request is not a JSON object with descriptors") from error
    request = _checked(said)
    if not _are_descriptors(wanted) or len(wanted) != len(received):
        raise BadRequest("the descriptors that came are not those that the request names")
    return request, dict(zip(wanted, received, strict=True))


def _checked(said: Any) -> Request:
    if not isinstance(said, dict) or said.keys() != {field.name for field in fields(Request)}:
        raise BadRequest("the request has other fields than program, arguments, environment and folder")
    request = Request(**said)
    if request.program not in PROGRAMS:
        raise BadRequest("the program is not on the list")
    variables = request.environment
    if not isinstance(request.arguments, list) or not isinstance(variables, dict):
        raise BadRequest("arguments are a list, the environment is an object")
    words = [request.folder, *request.arguments, *variables, *variables.values()]
    if not all(isinstance(word, str) and "\0" not in word for word in words) or any("=" in name for name in variables):
        raise BadRequest("arguments, variables and the folder are text without NUL")
    return request


def _are_descriptors(wanted: Any) -> bool:
    return (
        isinstance(wanted, list)
        and all(type(number) is int and 0 <= number <= _HIGHEST for number in wanted)
        and len(set(wanted)) == len(wanted)
        and {0, 1, 2} <= set(wanted)
    )
