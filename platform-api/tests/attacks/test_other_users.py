"""Another user of the same machine does not become a demonstration person."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_platform.identity.issuer.neighbours import uid_of
from mlops_platform.local.readiness import http_status

from ..support.ports import free_port
from ..support.waiting import until_started

NOBODY = 65_534
ASK = """
import urllib.request, urllib.error, sys
try:
    print(urllib.request.urlopen(sys.argv[1]).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
pytestmark = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="the kernel says whose a connection is on Linux"
)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_kernel_says_whose_a_connection_is(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        with socket.create_connection((address, server.getsockname()[1])) as client:
            host, port = client.getsockname()[:2]
            assert uid_of(host, port) == os.getuid()
        assert uid_of(address, free_port()) is None
    assert uid_of("no address", 1) is None


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", tmp_path / "api.log"
    settings = {"MLOPS_HOME": str(tmp_path / "home"), "MLOPS_DATABASE_URL": database_url, "MLOPS_PORT": str(port)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "--factory", "mlops_platform.app:create", "--port", str(port)],
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
        )
    until_started(process, lambda: http_status(f"{url}/health") is not None, log)
    yield url
    process.terminate()
    process.wait(15)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_the_page_answers_the_user_who_runs_the_platform(served: str) -> None:
    page = f"{served}/issuer/device"
    mine = subprocess.run([sys.executable, "-c", ASK, page], capture_output=True, text=True, check=True)
    # the system's own Python: another user cannot read this environment
    program = Path("/usr/bin/python3")
    if not program.exists():
        pytest.skip("no Python that another user can run")
    theirs = subprocess.run(
        [program, "-c", ASK, page], capture_output=True, text=True, check=True, user=NOBODY, cwd="/"
    )
    assert (mine.stdout.strip(), theirs.stdout.strip()) == ("200", "403")
