"""The program uv, and what its failures mean. Nothing a model names reaches its command line or its settings."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import SecretStr

from mlops_platform.environment_locks.interfaces import EnvironmentUnavailable, Unresolvable
from mlops_platform.settings import Settings

log = structlog.get_logger(__name__)

# how this machine reaches others; nothing else of our environment is uv's business
_INHERITED = (
    *("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
_SIGNS = re.compile(r"^\s*(cause:|[^\w\s`]+)", re.MULTILINE)
_LONGEST = 600
_NO_ROOM = ("No space left on device", "Disk quota exceeded", "os error 28", "os error 122")
_CHANGED = ("Hash mismatch", "not match the hash")


@dataclass(frozen=True)
class Source:
    """Where packages come from: the settings of the platform, never the model's."""

    cache: Path
    index: SecretStr | None = None
    more_indexes: SecretStr | None = None
    find_links: SecretStr | None = None
    from_source: bool = False
    seconds: float = 900.0

    @classmethod
    def of(cls, settings: Settings) -> "Source":
        """Return what the settings name."""
        cache = settings.environments_cache or settings.environments_dir / ".cache"
        return cls(
            cache.absolute(),
            settings.environments_index_url,
            settings.environments_extra_index_urls,
            settings.environments_find_links,
            settings.environments_from_source,
            settings.environments_seconds,
        )


def run(arguments: Sequence[str], source: Source, folder: Path, *, wheels: bool = True) -> str:
    """Run uv in this folder and return what it printed; `wheels`: it resolves or installs some. Raises Unresolvable and EnvironmentUnavailable, each with a sentence."""
    command = [_program(), "--no-config", "--no-progress", *arguments]
    if wheels and not source.from_source:
        command += ["--only-binary", ":all:"]
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            env=_variables(source),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=source.seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentUnavailable(
            f"Installing the model's libraries took longer than {source.seconds:g} seconds; it is tried again.",
            retry_after=60,
        ) from error
    except OSError as error:
        raise EnvironmentUnavailable("uv cannot be started; is its package installed?", retry_after=60) from error
    if ran.returncode != 0:
        raise _failure(_CREDENTIALS.sub("//***@", ran.stderr))
    return ran.stdout


def _program() -> str:
    """Return uv's own program: the one this environment brings, else one on the PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    return str(beside) if beside.is_file() else shutil.which("uv") or "uv"


def _variables(source: Source) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # not on the command line, which everybody on the machine can read
    asked = {"UV_DEFAULT_INDEX": source.index, "UV_INDEX": source.more_indexes, "UV_FIND_LINKS": source.find_links}
    given = {name: value.get_secret_value() for name, value in asked.items() if value is not None}
    return {**kept, **given, "UV_CACHE_DIR": str(source.cache), "UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1"}


def _failure(said: str) -> Exception:
    if any(word in said for word in _NO_ROOM):
        return EnvironmentUnavailable(
            "The disk is full: the model's libraries were not installed, and nothing of them was left. Make room and it is "
            "tried again.",
            retry_after=60,
        )
    if "No solution found" in said:
        return Unresolvable(f"The libraries that the model names cannot be installed together: {_reason(said)}")
    if any(word in said for word in _CHANGED):
        return Unresolvable(
            "The package index gives a file that is not the one of the lock; nothing of it was installed. Ask who runs the index."
        )
    if "Failed to install" in said:
        why = " ".join(_SIGNS.sub(" ", said.partition("Failed to install:")[2]).split())
        return Unresolvable(f"A package of the model cannot be installed: {why[:_LONGEST]}")
    log.warning("uv failed", said=said[-_LONGEST:])
    return EnvironmentUnavailable(
        "The package index does not answer, and the model needs libraries of its own; the worker's log says what uv said. It is "
        "tried again. MLOPS_ENVIRONMENTS_INDEX_URL names another index.",
        retry_after=60,
    )


def _reason(said: str) -> str:
    """Return uv's own reasoning in one line: it names the packages."""
    # the first line says that there is none, the rest why; releases of uv put other signs before it
    text = said.partition("No solution found")[2].partition("\n")[2]
    words = " ".join(_SIGNS.sub(" ", text).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"
