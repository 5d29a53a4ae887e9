"""Which bytes a version has, and how risky they are: read from the registry once, then kept."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
from sqlalchemy import select, update

from mlops_platform.database.session import Database, Session
from mlops_platform.identity.principal import Principal
from mlops_platform.kit.digests import tree_digest
from mlops_platform.models import mirror
from mlops_platform.models.classified import MIRROR, source_of
from mlops_platform.models.interfaces import ModelRegistry, NotInRegistry
from mlops_platform.models.schemas import VersionView
from mlops_platform.models.service import ModelVersionNotFound, ensure_version, get_version
from mlops_platform.models.tables import ModelRow, ModelVersionRow
from mlops_platform.risk import service as risk
from mlops_platform.risk.interfaces import Holders


async def resolve(
    database: Database,
    registry: ModelRegistry,
    holders: Holders,
    caller: Principal | None,
    name: str,
    version: str | int,
    *,
    permitted: Callable[[str], None],
    read_tags: bool = True,
) -> tuple[VersionView, str]:
    """Return a version as it is now and the digest of its bytes: read from the registry, classified, and kept.

    `permitted` raises when the caller may not do this to a version of that tenant: before gigabytes are read. `read_tags`: read
    its tags again, so that a level raised a moment ago counts; then the registry must answer. In transactions of its own, which
    end before the caller's begins: it may read gigabytes, and it records events. Raises ModelVersionNotFound, NotAVersion and
    RegistryUnavailable; what the catalogue has learned until then stays.
    """
    async with database.session() as session:
        view = await ensure_version(session, registry, caller, name, version)
    permitted(view.tenant)
    if read_tags:
        async with database.session() as session:
            await _read_tags_again(session, registry, view)
    digest = view.digest
    if digest is None:
        digest = await _digest(registry, view)
    async with database.session() as session:
        await _keep_digest(session, holders, view.model_name, view.version, digest)
    async with database.read_session() as session:
        return await get_version(session, caller, view.model_name, view.version), digest


async def _read_tags_again(session: Session, registry: ModelRegistry, view: VersionView) -> None:
    try:
        fresh = await registry.get_version(view.model_name, view.version)
        model = await registry.get_model(view.model_name)
    except NotInRegistry as error:
        raise ModelVersionNotFound(view.model_name, str(view.version)) from error
    # what the platform was told at registration beside the run's own metrics stays
    kept = replace(
        fresh, metrics={**fresh.metrics, **view.metrics}, params={**fresh.params, **view.params}, lineage=view.lineage
    )
    await mirror.put_version(session, kept, model.tags)


async def _digest(registry: ModelRegistry, view: VersionView) -> str:
    folder = Path(tempfile.mkdtemp(prefix="mlops-digest-"))
    try:
        root = await registry.download(view.model_name, view.version, folder)
        return await anyio.to_thread.run_sync(tree_digest, root)
    finally:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))


async def _keep_digest(session: Session, holders: Holders, name: str, version: int, digest: str) -> None:
    """Keep what bytes a version has, and classify them: at least as risky as this version was."""
    row = await session.get(ModelVersionRow, (name, version))
    if row is None:
        raise ModelVersionNotFound(name, str(version))
    tenant = await session.scalar(select(ModelRow.tenant).where(ModelRow.name == name))
    assert tenant is not None, "a version's row refers to its model's"
    if row.digest is None:
        await session.execute(
            update(ModelVersionRow)
            .where(ModelVersionRow.name == name, ModelVersionRow.version == version)
            .values(digest=digest)
        )
        await risk.classify(
            session,
            holders,
            digest=digest,
            level=row.risk_level,
            source=source_of(row.risk_warning),
            reason=row.risk_warning or f"declared for {name} {version}",
            actor=MIRROR,
            tenant=tenant,
        )
    elif not await risk.is_recorded(session, row.digest):
        # bytes that were known before there were records
        await risk.classify(
            session,
            holders,
            digest=row.digest,
            level=row.risk_level,
            source=source_of(row.risk_warning),
            reason="the level before risk was recorded for bytes",
            actor=MIRROR,
            tenant=tenant,
        )
