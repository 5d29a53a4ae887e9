"""The isolated process sees no secrets and no network, and its limits hold."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from model_server.sandbox import isolation
from model_server.sandbox.isolation import Limits, run_isolated

PROBE = """
import json, os, socket, sys
from model_server.sandbox.isolation import enter_isolation
missing = enter_isolation({"memory_bytes": 2 << 30, "cpu_seconds": 60})
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1)
    reached = True
except OSError:
    reached = False
try:
    bytearray(3 << 30)
    allocated = True
except MemoryError:
    allocated = False
print(json.dumps([missing, reached, allocated]))
"""


def test_isolated_process_has_no_network_and_limited_memory() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-c", PROBE, str(listening.getsockname()[1])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    missing, reached, allocated = json.loads(ended.stdout)
    assert reached is ("network namespace" in missing)
    assert allocated is ("memory limit" in missing)


def test_secrets_of_the_caller_are_not_in_the_childs_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql://secret")
    assert not {name for name in isolation._clean_environment(tmp_path) if name.startswith("MLOPS")}


def test_child_that_dies_at_once_is_an_outcome_not_an_error(tmp_path: Path) -> None:
    outcome = run_isolated({"nothing": "useful"}, tmp_path, Limits(timeout_seconds=30))
    assert outcome.ended == "crashed"
    assert outcome.events == []
    assert "KeyError" in outcome.detail
