"""One pass of the registry mirror: what changed in the registry is copied into the catalogue, each version by itself."""

import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import select

from mlops_platform.database.session import Database
from mlops_platform.dependencies import Services
from mlops_platform.failing.attempts import Attempts, Item, attempts
from mlops_platform.models import classified, mirror
from mlops_platform.models.interfaces import NotInRegistry, RegisteredModel, RegisteredVersion
from mlops_platform.models.tables import ModelRow, ModelVersionRow

log = structlog.get_logger(__name__)

JOB = "registry-mirror"
# A tag that is set or removed does not move MLflow's time of the last change, so only a comparison of everything sees it (as
# it sees a clock set back). It takes at most a twentieth of the time: a small registry is compared every six seconds.
_COMPARE_SECONDS = 6.0
_COMPARE_SHARE = 20.0
# a version, or a model by itself
_Item = tuple[str, int | None]


@dataclass
class Seen:
    """How far this process has read the registry. It knows nothing at first, so its first pass compares everything.

    The catalogue's newest row must not stand for it: a version that was registered over the API is newer than those
    that a plain client registered while no worker ran.
    """

    models: datetime | None = None
    versions: datetime | None = None
    compared: float | None = None
    # how long the last comparison of everything took, in seconds
    took: float = 0.0


_SEEN: WeakKeyDictionary[Database, Seen] = WeakKeyDictionary()


def seen_by(database: Database) -> Seen:
    """Return what this process has seen for a catalogue."""
    return _SEEN.setdefault(database, Seen())


async def copy_changes(services: Services) -> None:
    """Copy what changed since the last pass, and every now and then whatever differs, tags included.

    An item that cannot be copied holds up no other: it is logged, counted and tried again, later each time. Raises
    RegistryUnavailable and DatabaseUnavailable; then the next pass begins where this one began.
    """
    seen = seen_by(services.database)
    began = time.monotonic()
    whole = seen.compared is None or began - seen.compared > max(_COMPARE_SECONDS, _COMPARE_SHARE * seen.took)
    models = await services.registry.changed_models(None if whole else seen.models)
    versions = await services.registry.changed_versions(None if whole else seen.versions)
    # what failed before, in an earlier process too, is tried when it is due: the watermark has passed it
    tries = await attempts(services.database, JOB)
    differing = [_written(item) for item in await _differing(services.database, models, versions)]
    for item in dict.fromkeys((*differing, *tries.items)):
        if tries.due(item):
            await _isolated(services, tries, item)
    seen.models = max((model.updated_at for model in models), default=seen.models)
    seen.versions = max((version.updated_at for version in versions), default=seen.versions)
    if whole:
        seen.compared = time.monotonic()
        seen.took = seen.compared - began


async def _differing(
    database: Database, models: Collection[RegisteredModel], versions: Collection[RegisteredVersion]
) -> list[_Item]:
    """Return what the catalogue does not hold as it is, models first: a search overlaps in time, so most is known."""
    async with database.read_session() as session:
        known = select(ModelRow.name, ModelRow.updated_at, ModelRow.tags).where(
            ModelRow.name.in_({model.name for model in models})
        )
        names = {row.name: (row.updated_at, row.tags) for row in await session.execute(known)}
        line = ModelVersionRow
        copied = select(line.name, line.version, line.registry_updated_at, line.tags).where(
            line.name.in_({version.name for version in versions})
        )
        numbers = {
            (row.name, row.version): (row.registry_updated_at, row.tags) for row in await session.execute(copied)
        }
    # a tag that is set in MLflow moves no time
    return [
        *((model.name, None) for model in models if names.get(model.name) != (model.updated_at, model.tags)),
        *(
            (version.name, version.version)
            for version in versions
            if numbers.get((version.name, version.version)) != (version.updated_at, version.tags)
        ),
    ]


async def _isolated(services: Services, tries: Attempts, written: str) -> None:
    name, version = _read(written)
    async with services.database.read_session() as session:
        tenant = await session.scalar(select(ModelRow.tenant).where(ModelRow.name == name))
    what = f"copy of {name}" if version is None else f"copy of {name} version {version}"
    async with tries.attempt(Item(written, f"{what} from the registry", tenant)):
        try:
            await _copy(services, (name, version))
        except NotInRegistry:
            # deleted since it was listed
            log.info("not copied: it is gone from the registry", model=name, version=version)


def _written(item: _Item) -> str:
    """Return an item as text; a name may hold anything."""
    return json.dumps(item)


def _read(written: str) -> _Item:
    name, version = json.loads(written)
    return str(name), None if version is None else int(version)


async def _copy(services: Services, item: _Item) -> None:
    name, version = item
    if version is not None:
        async with services.database.session() as session:
            await mirror.copy(session, services.registry, name, version)
        return
    model = await services.registry.get_model(name)
    async with services.database.session() as session:
        await mirror.put_model(session, model)
    await classified.declare_versions(services.database, name, model.tags)
