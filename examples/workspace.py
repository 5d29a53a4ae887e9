"""What the examples share: where the platform is, and tokens of the people who play a part.

The platform that runs on this machine is found by itself: its home says where everything is. The home is MLOPS_HOME, else
`.mlops` in the current folder, else `.mlops` of this checkout. MLOPS_URL, MLFLOW_TRACKING_URI and PROMETHEUS_URL name other
places. On a laptop, tokens come from the embedded development issuer through the command line (`mlops token`); in a
company, they come from its identity provider, and MLOPS_TOKEN holds yours.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import requests

from mlops_platform.local import state
from mlops_platform.local.home import Home

_CHECKOUT = Path(__file__).parents[1]
_VARIABLES = {"platform": "MLOPS_URL", "mlflow": "MLFLOW_TRACKING_URI", "prometheus": "PROMETHEUS_URL"}


def home() -> Home:
    """Return the home of the platform the examples use."""
    here = Home.at(None)
    beside = Home.at(_CHECKOUT / ".mlops")
    return here if "MLOPS_HOME" in os.environ or here.held() or not beside.held() else beside


def find(part: str) -> str:
    """Return the URL of `platform`, `mlflow` or `prometheus`; stop with a sentence when it is not known."""
    variable = _VARIABLES[part]
    if chosen := os.environ.get(variable):
        return chosen.rstrip("/")
    if address := running().urls.get(part):
        # MLflow's client looks for its token in the same home
        os.environ.setdefault("MLOPS_HOME", str(home().folder))
        return address
    if part == "prometheus":
        raise SystemExit(
            f"The platform in {home().folder} runs without Prometheus. Install it, start the platform again, or set "
            "PROMETHEUS_URL to the one that scrapes the platform."
        )
    raise SystemExit(f"The platform in {home().folder} is still starting; try again in a few seconds.")


def running() -> state.PlatformState:
    """Return what the running platform says about itself; stop with a sentence when none runs."""
    place = home()
    found = state.read(place.run / "state.json") if place.held() else None
    if found is None:
        raise SystemExit(
            f"No platform runs in {place.folder}. Start one (`make up`), or say where yours is: `export MLOPS_HOME=FOLDER` "
            "for one on this machine (`make up` prints the line), else MLOPS_URL, MLFLOW_TRACKING_URI and PROMETHEUS_URL."
        )
    return found


def token(email: str = "ana@company.com", *roles: str) -> str:
    """Return a bearer token for a person with these roles (a data scientist when none is named)."""
    if email == "ana@company.com" and not roles and "MLOPS_TOKEN" in os.environ:
        return os.environ["MLOPS_TOKEN"]
    if running().urls.get("platform") != find("platform"):
        raise SystemExit(
            f"Set MLOPS_TOKEN: {find('platform')} is not the platform in {home().folder}, which signs tokens."
        )
    beside = Path(sys.executable).with_name("mlops")
    command = [str(beside) if beside.exists() else shutil.which("mlops") or "mlops", "token", email]
    for role in roles or ("data-scientist",):
        command += ["--role", role]
    command += ["--home", str(home().folder)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def call(method: str, path: str, who: str, **arguments: object) -> dict:
    """Send a request to the platform as `who` (a token); return the JSON answer or stop with the problem's sentence."""
    response = requests.request(
        method, f"{find('platform')}{path}", headers={"Authorization": f"Bearer {who}"}, timeout=60, **arguments
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
