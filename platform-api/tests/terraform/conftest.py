"""An emulated AWS on loopback and the environment `dev` applied to it: once for all tests that look at it.

Applying takes minutes, nearly all of them fixed pauses the provider makes for the real AWS: it begins with the first test
of this folder, goes on beside those that need no environment, and the others come last.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from ..support.ports import free_port
from ..support.waiting import answers_well, until_started
from .workspace import Workspace

REGION = "us-east-1"
ACCOUNT = "123456789012"
DEV = "environments/dev"


def _needs_dev(item: pytest.Item) -> bool:
    return "dev" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at the applied environment comes last."""
    items.sort(key=_needs_dev)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.create(tmp_path_factory.mktemp("terraform"))


@dataclass(frozen=True)
class EmulatedAws:
    """moto in server mode: what terraform and boto3 talk to instead of AWS."""

    url: str

    @property
    def variables(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
            "TF_VAR_emulated_aws": "true",
        }

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )


@contextmanager
def _emulated(folder: Path) -> Iterator[EmulatedAws]:
    port = free_port()
    path = folder / "server.log"
    with path.open("wb") as log:
        server = subprocess.Popen(
            [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        until_started(server, lambda: answers_well(f"{url}/moto-api/data.json"), path)
        yield EmulatedAws(url)
        os.killpg(server.pid, 15)
        server.wait(15)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedAws]:
    with _emulated(tmp_path_factory.mktemp("moto")) as emulated:
        yield emulated


@dataclass
class Applied:
    """An environment that exists, and how long it took."""

    workspace: Workspace
    aws: EmulatedAws
    outputs: dict[str, Any]
    seconds: dict[str, float]

    @property
    def kustomize_env(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.outputs["kustomize_env"].splitlines())


@pytest.fixture(scope="session")
def applying(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Future[Applied]"]:
    folder = tmp_path_factory.mktemp("applied")
    # an AWS of its own: what other tests make elsewhere is not the environment's
    with _emulated(folder) as emulated, ThreadPoolExecutor(1) as pool:
        yield pool.submit(_apply, Workspace.create(folder), emulated)


@pytest.fixture(scope="session", autouse=True)
def _begin(request: pytest.FixtureRequest) -> None:
    if any(_needs_dev(item) for item in request.session.items):
        request.getfixturevalue("applying")


@pytest.fixture(scope="session")
def dev(applying: "Future[Applied]") -> Applied:
    return applying.result()


def _apply(workspace: Workspace, aws: EmulatedAws) -> Applied:
    """The guide's step 1 for dev: bootstrap the state, init, plan, apply."""
    extra = aws.variables
    workspace.run("bootstrap", "init", "-no-color")
    workspace.run("bootstrap", "apply", "-auto-approve", "-no-color", extra=extra)
    bucket = workspace.run("bootstrap", "output", "-raw", "state_bucket", extra=extra)
    # the emulator applies the policy's denials without their conditions, so that nobody could write a state
    aws.client("s3").delete_bucket_policy(Bucket=bucket)
    asked = workspace.run("bootstrap", "output", "-raw", "next", extra=extra)
    arguments = asked.split("'")[1]
    emulated = "-backend-config=use_path_style=true -backend-config=skip_credentials_validation=true -backend-config=skip_metadata_api_check=true"
    extra = {**extra, "TF_CLI_ARGS_init": f"{arguments} {emulated}"}

    seconds: dict[str, float] = {}

    def timed(name: str, *command: str) -> None:
        started = time.monotonic()
        workspace.run(DEV, *command, extra=extra)
        seconds[name] = time.monotonic() - started

    timed("init", "init", "-no-color")
    timed("plan", "plan", "-no-color", "-out=tfplan")
    # the provider mostly waits, with fixed pauses made for the real AWS: more of it at once
    timed("apply", "apply", "-no-color", "-parallelism=40", "tfplan")
    shown = json.loads(workspace.run(DEV, "output", "-json", extra=extra))
    return Applied(workspace, EmulatedAws(aws.url), {name: output["value"] for name, output in shown.items()}, seconds)
