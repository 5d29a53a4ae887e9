"""What the examples share: where the platform is, and tokens of the people who play a part.

On a laptop, tokens come from the embedded development issuer through the command line (`mlops token`); in a company,
they come from its identity provider, and MLOPS_TOKEN holds yours.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import requests

PLATFORM = os.environ.get("MLOPS_URL", "http://127.0.0.1:8000")
MLFLOW = os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
PROMETHEUS = os.environ.get("PROMETHEUS_URL", "http://127.0.0.1:9090")


def token(email: str = "ana@company.com", *roles: str) -> str:
    """Return a bearer token for a person with these roles (a data scientist when none is named)."""
    if email == "ana@company.com" and not roles and "MLOPS_TOKEN" in os.environ:
        return os.environ["MLOPS_TOKEN"]
    beside = Path(sys.executable).with_name("mlops")
    command = [str(beside) if beside.exists() else shutil.which("mlops") or "mlops", "token", email]
    for role in roles or ("data-scientist",):
        command += ["--role", role]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def call(method: str, path: str, who: str, **arguments: object) -> dict:
    """Send a request to the platform as `who` (a token); return the JSON answer or stop with the problem's sentence."""
    response = requests.request(
        method, f"{PLATFORM}{path}", headers={"Authorization": f"Bearer {who}"}, timeout=60, **arguments
    )
    body = response.json()
    if not response.ok:
        raise SystemExit(f"{response.status_code} {body['title']}: {body['detail']}")
    return body


def wait_until_live(model: str, version: str, who: str, seconds: float = 240) -> dict:
    """Wait for a version's deployment; return it. Stops with the reason when it failed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for deployment in call("GET", f"/api/v1/deployments?model_name={model}", who)["items"]:
            shown = call("GET", f"/api/v1/deployments/{deployment['id']}", who)
            for revision in shown["revisions"]:
                if str(revision["version"]) != str(version):
                    continue
                if revision["state"] == "live":
                    return shown
                if revision["state"] in {"failed", "rejected", "expired"}:
                    raise SystemExit(f"{model} {version} is {revision['state']}: {revision['reason']}")
        time.sleep(0.5)
    raise SystemExit(f"{model} {version} did not go live within {seconds:.0f} s; `mlops deployments list` shows why")
