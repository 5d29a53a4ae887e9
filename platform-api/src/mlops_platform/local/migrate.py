"""`python -m mlops_platform.local.migrate`: migrations in a process of their own, so that the supervisor stays small."""

import sys

from mlops_platform.database.migrate import SchemaTooNew, upgrade
from mlops_platform.settings import Settings

if __name__ == "__main__":
    try:
        upgrade(Settings().database_url.get_secret_value())
    except SchemaTooNew as newer:
        sys.exit(str(newer))
