"""Every table of the platform, in one import: what migrations and the drift test compare."""

import importlib
import importlib.util
import pkgutil

import mlops_platform
from mlops_platform.database.base import Base


def metadata() -> "type[Base]":
    """Import every room's tables.py and return the base that holds them all."""
    for module in pkgutil.iter_modules(mlops_platform.__path__):
        if module.ispkg and module.name != "database":
            name = f"mlops_platform.{module.name}.tables"
            if importlib.util.find_spec(name):
                importlib.import_module(name)
    return Base
