"""Driving load with wrk, and stating what machine it ran on."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil


class WrkMissing(SystemExit):
    """wrk is not on the PATH."""

    def __init__(self) -> None:
        super().__init__("benchmarks need wrk (Debian/Ubuntu: apt-get install wrk)")


@dataclass(frozen=True)
class Result:
    """One round: answers per second, 95th percentile in milliseconds, answers that were not 2xx, all answers.

    `cpu_us`: processor time of the server per answer in microseconds, when its process was watched.
    """

    rps: float
    p95_ms: float
    errors: int
    requests: int
    cpu_us: float = 0.0


_SCRIPT = """
wrk.method = "POST"
{headers}
wrk.body = io.open("{body}", "rb"):read("*a")
{pace}
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %f %f %d\\n", summary.requests, summary.duration / 1e6, latency:percentile(95.0) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def wrk(
    url: str,
    body: str | bytes,
    *,
    connections: int,
    seconds: float,
    token: str | None = None,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    pause_ms: int = 0,
) -> Result:
    """Send the same request over keep-alive connections for some seconds; JSON unless `headers` say otherwise.

    `pause_ms`: how long each connection waits before each request; it is not part of the time to an answer.
    """
    program = shutil.which("wrk")
    if program is None:
        raise WrkMissing
    named = {"Content-Type": "application/json", **(headers or {})}
    if token:
        named["Authorization"] = f"Bearer {token}"
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in named.items())
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "body"
        content.write_bytes(body if isinstance(body, bytes) else body.encode())
        pace = f"delay = function() return {pause_ms} end" if pause_ms else ""
        script = (
            _SCRIPT.replace("{headers}", lines)
            .replace("{pace}", pace)
            .replace("{body}", str(content))
            .replace('"POST"', f'"{method}"')
        )
        path = Path(folder) / "request.lua"
        path.write_text(script)
        command = [
            program,
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "10s",
            "-s",
            str(path),
            url,
        ]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
    found = re.search(r"RESULT (\d+) ([\d.]+) ([\d.]+) (\d+)", printed)
    assert found, printed
    requests, duration, p95, errors = (
        int(found[1]),
        float(found[2]),
        float(found[3]),
        int(found[4]),
    )
    return Result(requests / duration, p95, errors, requests)


def watched(pid: int, measure: Callable[[], Result]) -> Result:
    """Measure, and say what each answer cost the server in processor time: other work on the machine is not in it."""
    # a server may be a parent whose children answer
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    before = sum(_spent(member) for member in family)
    result = measure()
    return replace(
        result,
        cpu_us=(sum(_spent(member) for member in family) - before) / result.requests * 1e6,
    )


def _spent(process: psutil.Process) -> float:
    """Return the processor time of a process so far, in seconds."""
    times = process.cpu_times()
    return times.user + times.system


def machine() -> str:
    """Return one line about the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, Python {platform.python_version()}; wrk on the same machine"
