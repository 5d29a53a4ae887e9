"""`python -m mlops_platform.local.migrate`: migrations in a process of their own, so that the supervisor stays small."""

import sys

from mlops_platform.adapters.local import statement_key
from mlops_platform.database.migrate import SchemaTooNew, upgrade
from mlops_platform.settings import Settings


def main() -> None:
    """Bring the schema, and the place of the key that signs statements, to this version. Raises SchemaTooNew."""
    settings = Settings()
    upgrade(settings.database_url.get_secret_value())
    if settings.statement_kms_key is None:
        if settings.statement_key_file is None:
            # where it lay before processes were kept from it
            statement_key.move(settings.keys / "statements.pem", settings.statement_key)
        if settings.statement_public_keys_file is None:
            statement_key.move(settings.keys / "statements.pub", settings.statement_public_keys)
        # both halves are there before the processes that may read one of them only
        statement_key.FileStatementSigner(settings.statement_key, settings.statement_public_keys).key_id()


if __name__ == "__main__":
    try:
        main()
    except SchemaTooNew as newer:
        sys.exit(str(newer))
