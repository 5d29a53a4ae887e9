"""`python -m mlops_platform.local.demo`: prepares the churn project; each line it prints is shown by `mlops up`."""

import sys

from mlops_platform.local import churn
from mlops_platform.local.feature_project import MARK
from mlops_platform.settings import Settings


def progress(sentence: str) -> None:
    """Show one step."""
    sys.stdout.write(f"{MARK}{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    churn.prepare(Settings(), progress)
