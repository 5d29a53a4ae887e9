"""Serve one bundle over HTTP: `python -m model_server.serve --bundle DIR (--socket PATH | --port N [--host H])`.

In a KServe pod: `--bundle /mnt/models --host 0.0.0.0 --port 8080`. MODEL_SERVER_STATEMENT names the signed statement of
approval beside the bundle's files, MODEL_SERVER_PUBLIC_KEYS holds the keys (PEM) it must be signed with, and
MODEL_SERVER_DIGEST the artifact that was approved. Exits with 4 and one line on standard error when the bundle was not built, is another one, or has changed.
"""

import argparse
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.refusals import Refused

if TYPE_CHECKING:
    from model_server.serve.served_model import ServedModel

EXIT_REFUSED = 4
# what a cluster shows of a container that ended; other places have no such file
_LAST_WORDS = Path("/dev/termination-log")

# One process is one replica on one core; idle thread pools only cost memory. SHAP's compiled loops save milliseconds
# per explanation and cost nine seconds and 120 MB at the first one.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Load the bundle, then listen; a socket file appears only when the model can answer."""
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
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--log-level", default="warning")
    options = parser.parse_args(arguments)
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Imported only now: the libraries read their environment when they are imported.
    import uvicorn

    from model_server.serve.approval import approved
    from model_server.serve.asgi import ModelServerApp
    from model_server.serve.served_model import ServedModel
    from model_server.trust.files import BuiltFiles

    try:
        files = BuiltFiles(options.bundle) if options.trial else approved(options.bundle, os.environ)
        model = ServedModel(files, os.environ.get("MODEL_SERVER_DIGEST"))
    except Refused as refusal:
        sys.stderr.write(f"{refusal.code}: {refusal.sentence}\n")
        if _LAST_WORDS.exists():
            _LAST_WORDS.write_text(f"{refusal.code}: {refusal.sentence}")
        return EXIT_REFUSED
    if options.warm_explanations:
        threading.Thread(target=_warm, args=(model,), name="warm-explanations", daemon=True).start()
    config = uvicorn.Config(
        ModelServerApp(model),
        host=options.host,
        port=options.port or 0,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level=options.log_level,
    )
    sockets = [_private_socket(options.socket)] if options.socket else None
    try:
        uvicorn.Server(config).run(sockets=sockets)
    finally:
        if options.socket:
            options.socket.unlink(missing_ok=True)
    return 0


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


def _warm(model: "ServedModel") -> None:
    from model_server.explain.explainer import NoBackground, NotExplainable

    try:
        model.prepare_explanations()
    except (NoBackground, NotExplainable, Refused) as reason:
        # Requests are told the same thing; predictions do not depend on it.
        logging.getLogger("model_server").warning("explanations are not available: %s", reason)


if __name__ == "__main__":
    sys.exit(main())
