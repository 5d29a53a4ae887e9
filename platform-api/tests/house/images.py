"""The images, what each of them runs, and what those programs reach by their imports."""

import functools
from dataclasses import dataclass

import grimp

from tests.house import declared

OURS = ("mlops_platform", "model_server")


@dataclass(frozen=True)
class Image:
    """A target of platform-api/Dockerfile, its extras, and the modules that processes in it start with."""

    target: str
    extras: tuple[str, ...]
    entries: tuple[str, ...]

    @property
    def packages(self) -> set[str]:
        """Our own packages that lie in it: those that its programs can come to import."""
        return {name.split(".")[0] for entry in self.entries for name in inside(entry)}

    @property
    def lock(self) -> str:
        """The lock it is installed from, seen from platform-api."""
        return f"locks/{self.target}.lock"


IMAGES = (
    Image(
        "api",
        ("api",),
        (
            "mlops_platform.app",
            "mlops_platform.predictions.protocol",
            # beside each API, the mover of prediction segments: the worker with two of its jobs
            "mlops_platform.worker",
            "mlops_platform.local.migrate",
            "mlops_platform.cli.main",
            # named in feature_store.yaml: Feast imports it
            "mlops_platform.adapters.feast.elasticache",
        ),
    ),
    Image(
        "worker",
        ("api", "build"),
        (
            "mlops_platform.worker",
            "mlops_platform.adapters.feast.elasticache",
            "model_server.build.__main__",
            "model_server.build.inspect",
            "model_server.build.prove",
            "model_server.build.worker",
            # what forks the three of them
            "model_server.template.__main__",
            # the load test before a deployment
            "model_server.serve.__main__",
        ),
    ),
    Image("model-server", ("serve",), ("model_server.serve.__main__", "model_server.fetch.__main__")),
)


@functools.cache
def graph() -> grimp.ImportGraph:
    """Return who imports whom, imports inside functions included, those for the type checker alone left out."""
    return grimp.build_graph(*OURS, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None)


@functools.cache
def reached(entry: str) -> frozenset[str]:
    """Return our own modules and the others' packages that a process started with this module can come to import."""
    found: set[str] = set()
    waiting = {entry}
    while waiting:
        found |= waiting
        # importing a.b.c runs a and a.b first
        parents = {name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)}
        waiting = {name for one in waiting for name in graph().find_upstream_modules(one)} | (parents & graph().modules)
        if "mlops_platform.database.migrate" in found | waiting:
            waiting |= _imported_by_migrations()
        waiting -= found
    return frozenset(found)


@functools.cache
def _imported_by_migrations() -> frozenset[str]:
    """Return what the migrations import: Alembic runs them by their path, and their folder is no package."""
    folder = declared.PLATFORM_API / "src" / "mlops_platform" / "database" / "migrations"
    names = {name for path in folder.rglob("*.py") for name in declared.imports(path)}
    return frozenset(name if name in graph().modules else name.split(".")[0] for name in names) & graph().modules


def inside(entry: str) -> set[str]:
    """Return our own modules among those reached."""
    return {name for name in reached(entry) if name.split(".")[0] in OURS}


def outside(entry: str) -> set[str]:
    """Return the top-level names of other packages among those reached."""
    return {name for name in reached(entry) if name.split(".")[0] not in OURS}
