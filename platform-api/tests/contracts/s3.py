"""An S3 server that remembers what it was asked, and that fails when a test says so."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

# a token that ran out, which S3 repeats in its answer
SESSION = "IQoJb3JpZ2luX2VjEJr" * 8
Fault = Callable[[str, str], str | None]
_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)


class EmulatedS3:
    """moto, with a record of requests.

    `fault(method, path)` may say 'away' (503), 'lost' (done, and answered 500), or 'expired' (400, as S3 words it).
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.fault: Fault | None = None
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._one_by_one = threading.Lock()

    def start(self) -> str:
        self._server.start()
        self._moto: Any = self._server._server.app  # type: ignore[union-attr]
        self._server._server.app = self._answer  # type: ignore[union-attr]
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        return self.url

    def stop(self) -> None:
        self._server.stop()

    def client(self) -> Any:
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")

    def _answer(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environment["REQUEST_METHOD"], environment["PATH_INFO"]
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environment.items() if name[:5] == "HTTP_"
        }
        self.asked.append(Asked(method, path, headers))
        fault = self.fault(method, path) if self.fault else None
        if fault == "expired":
            body = f"<Error><Code>ExpiredToken</Code><Token-0>{SESSION}</Token-0></Error>".encode()
            start("400 Bad Request", [("content-length", str(len(body)))])
            return [body]
        if fault == "away":
            start("503 Slow Down", [("content-length", "0")])
            return [b""]
        # S3 decides about conditional writes one by one; moto's threads would look first and write later
        with self._one_by_one:
            answer = self._moto(environment, (lambda *_: None) if fault == "lost" else start)
            if fault != "lost":
                return answer  # type: ignore[no-any-return]
            list(answer)
        start("500 Internal Server Error", [("content-length", "0")])
        return [b""]


@contextmanager
def emulated_s3(bucket: str) -> Iterator[EmulatedS3]:
    """Run a server with one bucket, and the environment that leads clients to it."""
    before = dict(os.environ)
    os.environ.update(_KEYS)
    server = EmulatedS3()
    server.start()
    try:
        server.client().create_bucket(Bucket=bucket)
        yield server
    finally:
        server.stop()
        os.environ.clear()
        os.environ.update(before)
