"""The command line, as people run it."""

from tests.cli.conftest import mlops

__all__ = ["mlops"]
