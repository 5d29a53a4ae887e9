"""Requests of devices, made older than they are: nobody waits for ten minutes in a test."""

from datetime import datetime, timedelta

from sqlalchemy import select

from mlops_platform.bootstrap import BuiltServices
from mlops_platform.identity.tables import IssuerGrantRow


async def older(services: BuiltServices, by: timedelta) -> None:
    """Let every grant be given out that much earlier."""
    async with services.database.session() as session:
        for row in await session.scalars(select(IssuerGrantRow)):
            row.created_at, row.until = row.created_at - by, row.until - by


async def patiently(services: BuiltServices, by: timedelta) -> None:
    """Let the last question of every device be that long ago."""
    async with services.database.session() as session:
        for row in await session.scalars(select(IssuerGrantRow).where(IssuerGrantRow.kind == "device")):
            asked = datetime.fromisoformat(row.content["polled_at"])
            row.content = {**row.content, "polled_at": (asked - by).isoformat()}
