"""Serve one bundle over HTTP: `python -m model_server.serve --bundle DIR (--socket PATH | --port N [--host H] | --listening FD)`.

In a KServe pod: `--bundle /mnt/models --host 0.0.0.0 --port 8080`. MODEL_SERVER_STATEMENT names the signed statement of
approval beside the bundle's files, or in MODEL_SERVER_APPROVAL_FOLDER, where the list of withdrawn approvals must be then
and is read again when it changes (model_server.fetch keeps both fresh); MODEL_SERVER_PUBLIC_KEYS holds the keys (PEM) it must be signed with,
MODEL_SERVER_DIGEST the artifact that was approved, and MODEL_SERVER_SANDBOX=required says that it is loaded only where the
machine can confine it. A bundle that names libraries of its own is loaded in these, from MODEL_SERVER_LIBRARIES_FOLDER. Exits with 4 and one line on standard error when the bundle was not built, is another one, or has
changed, and with 6 when it leaves because nobody asked it anything for --idle-seconds.
"""

import argparse
import contextlib
import logging
import os
import socket
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from model_server.libraries import entering
from model_server.libraries.found import brought, named_in, program
from model_server.refusals import Refused
from model_server.sandbox.confine import Confinement, confine
from model_server.sandbox.limits import SERVING
from model_server.sandbox.protections import mode_of
from model_server.serve import variables

if TYPE_CHECKING:
    from model_server.serve.served_model import ServedModel

EXIT_REFUSED, EXIT_IDLE = 4, 6
# what a cluster shows of a container that ended; other places have no such file
_LAST_WORDS = Path("/dev/termination-log")

# One process is one replica on one core; idle thread pools only cost memory. SHAP's compiled loops save milliseconds
# per explanation and cost nine seconds and 120 MB at the first one.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Load the bundle, then listen; nobody is answered before the model is loaded, in a process that is confined."""
    parser = argparse.ArgumentParser(prog="model_server.serve", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument(
        "--trial",
        action="store_true",
        help="serve a build that nobody has agreed to yet, to measure it; without it a signed statement is needed",
    )
    parser.add_argument(
        "--warm-explanations",
        action="store_true",
        help="load what explanations need right after start, in the background",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", type=Path, help="Unix socket to listen on")
    where.add_argument("--port", type=int, help="TCP port to listen on")
    where.add_argument(
        "--listening", type=int, help="descriptor of a socket that listens already, and goes on without this process"
    )
    parser.add_argument("--heartbeat", type=int, help="descriptor to write to every second once it answers")
    parser.add_argument("--idle-seconds", type=float, default=0, help="leave when nobody asked for so long; 0: stay")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--log-level", default="warning")
    parser.add_argument("--scratch", type=Path, help="the one folder it may write; one of its own when not given")
    parser.add_argument("--readable", type=Path, action="append", default=[], help="another file or folder it may read")
    options = parser.parse_args(arguments)
    with _LAST_WORDS.open("w") if _LAST_WORDS.exists() else contextlib.nullcontext() as last_words:
        try:
            _change_libraries(options.bundle, sys.argv[1:] if arguments is None else arguments)
            model, listening = _loaded(options, last_words)
        except Refused as refusal:
            sys.stderr.write(f"{refusal.code}: {refusal.sentence}\n")
            if last_words is not None:
                last_words.write(f"{refusal.code}: {refusal.sentence}")
            return EXIT_REFUSED
    return _answer(model, listening, options)


def _change_libraries(bundle: Path, arguments: list[str]) -> None:
    """Start again in the libraries that were brought for this bundle, where a pod has any; this process ends with that.

    The bundle is not verified yet: another one could name only what was brought here, and that was (model_server.fetch). The
    verified one is held against it. Raises Refused.
    """
    root = os.environ.get(variables.LIBRARIES)
    if not root or entering.entered() is not None:
        return
    try:
        name = named_in(bundle)
    except (OSError, ValueError) as error:
        raise Refused("bad_bundle", "There is no description of a bundle, or it cannot be read.") from error
    if name is not None:
        command = program("model_server.serve", brought(Path(root), name))
        os.execv(command[0], [*command, *arguments])  # noqa: S606 - no shell is wanted  # nosec B606


def _loaded(options: argparse.Namespace, last_words: IO[str] | None) -> tuple["ServedModel", socket.socket]:
    """Listen, confine this process, and only then load the model. Raises Refused.

    The socket exists before, because a confined process opens none; nobody is answered until the model is loaded.
    """
    mode = mode_of(os.environ)
    digest = os.environ.get("MODEL_SERVER_DIGEST")
    listening = _listening(options)
    kept = {listening.fileno(), *([last_words.fileno()] if last_words else [])}
    if options.heartbeat is not None:
        kept.add(options.heartbeat)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # the model is copied into scratch before it is loaded (trust/files.py)
    size = sum(path.lstat().st_size for path in options.bundle.rglob("*") if path.is_file())
    sealed = confine(
        Confinement(
            readable=tuple(path.absolute() for path in (options.bundle, *options.readable, *_approval_folder())),
            scratch=(options.scratch or Path(tempfile.mkdtemp(prefix="model-"))).absolute(),
            limits=replace(SERVING, file_bytes=SERVING.file_bytes + size),
            descriptors=frozenset(kept),
            private=True,
            room=size,
        )
    )
    if sealed.missing:
        sys.stderr.write(f"{sealed.sentence}\n")
    entering.enter(sealed, mode)
    # Imported only now: they start threads, which would stay free, and read their environment
    from model_server.serve.approval import approved, withdrawals
    from model_server.serve.served_model import ServedModel
    from model_server.trust.files import BuiltFiles

    bundle: Path = options.bundle.absolute()
    files = BuiltFiles(bundle) if options.trial else approved(bundle, os.environ)
    model = ServedModel(files, digest, None if options.trial else withdrawals(os.environ), libraries=entering.entered())
    return model, listening


def _approval_folder() -> list[Path]:
    return [Path(said)] if (said := os.environ.get(variables.FOLDER)) else []


def _answer(model: "ServedModel", listening: socket.socket, options: argparse.Namespace) -> int:
    import uvicorn

    from model_server.serve.asgi import ModelServerApp
    from model_server.serve.leaving import LeavingServer

    if options.warm_explanations:
        threading.Thread(target=_warm, args=(model,), name="warm-explanations", daemon=True).start()
    app = ModelServerApp(model)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level=options.log_level,
    )
    # who ordered this process removes its socket: it may not change anything outside its scratch folder
    server = LeavingServer(config, app, options.idle_seconds, options.heartbeat)
    server.run(sockets=[listening])
    return EXIT_IDLE if server.left else 0


def _listening(options: argparse.Namespace) -> socket.socket:
    if options.listening is not None:
        return socket.socket(fileno=options.listening)
    return _private_socket(options.socket) if options.socket else _tcp_socket(options.host, options.port)


def _private_socket(path: Path) -> socket.socket:
    """Bind a Unix socket that only this user may open; uvicorn's own would be open to everyone on the machine."""
    path.unlink(missing_ok=True)  # left behind by a process that was killed
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    return listening


def _tcp_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    return listening


def _warm(model: "ServedModel") -> None:
    from model_server.explain.explainer import NoBackground, NotExplainable

    try:
        model.prepare_explanations()
    except (NoBackground, NotExplainable, Refused) as reason:
        # Requests are told the same thing; predictions do not depend on it.
        logging.getLogger("model_server").warning("explanations are not available: %s", reason)


if __name__ == "__main__":
    sys.exit(main())
