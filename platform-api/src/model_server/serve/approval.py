"""What a model server may load: what a statement says that was signed with a key the process was given."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from model_server.refusals import Refused
from model_server.trust.envelope import PublicKeys
from model_server.trust.files import ApprovedFiles
from model_server.trust.statement import check_time, read_statement

STATEMENT_VARIABLE = "MODEL_SERVER_STATEMENT"
KEYS_VARIABLE = "MODEL_SERVER_PUBLIC_KEYS"


def approved(bundle: Path, environment: Mapping[str, str]) -> ApprovedFiles:
    """Return the bundle's files as the statement names them.

    The variables name the statement's file beside the bundle's files, and hold the keys as PEM: a key is never read from
    beside a bundle. Raises Refused `no_statement`, `no_keys`, `not_signed`, `bad_statement`, `approval_ended`.
    """
    name = environment.get(STATEMENT_VARIABLE, "")
    if not name or Path(name).name != name or not (bundle / name).is_file():
        raise Refused("no_statement", "There is no signed statement of approval beside this bundle; nothing is served.")
    keys = PublicKeys.from_pem(environment.get(KEYS_VARIABLE, "").encode())
    statement = read_statement((bundle / name).read_bytes(), keys)
    check_time(statement, datetime.now(UTC))
    return ApprovedFiles(bundle, statement)
