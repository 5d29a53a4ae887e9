"""A data plane that trusts every build: for tests of what a model answers, not of who agreed to it."""

from pathlib import Path

from mlops_platform.adapters.local.bundles import LocalBundles
from mlops_platform.deployments.schemas import LiveRevision
from mlops_platform.predictions.routing import RoutingTable
from mlops_platform.predictions.trust import NotApproved, Trust
from model_server.trust.files import BuiltFiles, Files
from model_server.trust.statement import Statement


class EveryBuild(Trust):
    """Loads builds as they are."""

    def __init__(self) -> None:
        super().__init__(Path("no keys"), LocalBundles(Path("no bundles")))

    def files(self, live: LiveRevision) -> Files:
        return BuiltFiles(Path(live.folder))

    def problem(self, statement: Statement | None) -> NotApproved | None:
        return None


def routing_table() -> RoutingTable:
    """Return an empty table that loads builds as they are."""
    return RoutingTable(EveryBuild())


async def nothing_revoked() -> bytes | None:
    """No list was issued."""
    return None
