"""The operator's file of service accounts (MLOPS_SERVICE_ACCOUNTS_FILE): read again when it has changed."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from mlops_platform.errors import Unavailable
from mlops_platform.identity.service_accounts import ServiceAccounts


class ServiceAccountsUnreadable(Unavailable):
    """The file of service accounts cannot be used: no service is signed in by it."""

    title = "The service accounts cannot be read"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"MLOPS_SERVICE_ACCOUNTS_FILE cannot be used: {why}. Correct the file; `mlops doctor` checks it."
        )


class AccountsFile:
    """The accounts in a YAML file; none without a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read: tuple[tuple[int, ...], ServiceAccounts] | None = None

    def accounts(self) -> ServiceAccounts:
        """Return the accounts as the file says them now. Raises ServiceAccountsUnreadable."""
        if self._path is None:
            return ServiceAccounts()
        try:
            # of a mounted file the link changes, and with it what lies behind
            stat = self._path.stat()
            mark = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if self._read is None or self._read[0] != mark:
                content = yaml.safe_load(self._path.read_text())
                self._read = (mark, ServiceAccounts.model_validate(content or {}))
        except (OSError, yaml.YAMLError, ValidationError, ValueError) as error:
            raise ServiceAccountsUnreadable(_words(error)) from error
        return self._read[1]


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # a value may be a secret that somebody wrote into the wrong place: only places are named
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
    if isinstance(error, yaml.YAMLError):
        return "it is not YAML"
    return "it is not there, or not readable" if isinstance(error, OSError) else "it is not text"
