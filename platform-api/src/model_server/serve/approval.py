"""What a model server may load: what a statement says that was signed with a key the process was given."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from model_server.refusals import Refused
from model_server.serve import variables
from model_server.serve.withdrawals import Withdrawals
from model_server.trust.envelope import PublicKeys
from model_server.trust.files import ApprovedFiles
from model_server.trust.revocations import LIST
from model_server.trust.statement import check_time, read_statement


def approved(bundle: Path, environment: Mapping[str, str]) -> ApprovedFiles:
    """Return the bundle's files as the statement names them.

    The variables name the statement's file, beside the bundle's files or in the folder, and hold the keys as PEM: a key is
    never read from beside a bundle. Raises Refused `no_statement`, `no_keys`, `not_signed`, `bad_statement`, `approval_ended`.
    """
    name = environment.get(variables.STATEMENT, "")
    place = folder_of(environment) or bundle
    if not name or Path(name).name != name or not (place / name).is_file():
        raise Refused("no_statement", "There is no signed statement of approval beside this bundle; nothing is served.")
    statement = read_statement((place / name).read_bytes(), _keys(environment))
    check_time(statement, datetime.now(UTC))
    return ApprovedFiles(bundle, statement)


def withdrawals(environment: Mapping[str, str]) -> Withdrawals | None:
    """Return what watches the list of withdrawn approvals; None where whoever ordered this process watches it.

    Raises Refused `no_revocations`, `no_keys`, `not_signed`, `bad_statement`.
    """
    folder = folder_of(environment)
    return None if folder is None else Withdrawals(folder / LIST, _keys(environment))


def folder_of(environment: Mapping[str, str]) -> Path | None:
    """Return the folder another container keeps fresh, None without one."""
    said = environment.get(variables.FOLDER)
    return Path(said).absolute() if said else None


def _keys(environment: Mapping[str, str]) -> PublicKeys:
    return PublicKeys.from_pem(environment.get(variables.KEYS, "").encode())
