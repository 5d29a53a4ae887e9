"""The command line, as people run it."""

from ..cli.conftest import mlops

__all__ = ["mlops"]
