"""`python -m mlops_platform.local.migrate`: migrations in a process of their own, so that the supervisor stays small."""

from mlops_platform.database.migrate import upgrade
from mlops_platform.settings import Settings

if __name__ == "__main__":
    upgrade(Settings().database_url.get_secret_value())
