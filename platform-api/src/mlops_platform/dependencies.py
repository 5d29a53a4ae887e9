"""How endpoints and jobs reach the parts that bootstrap chose, without importing adapters."""

from typing import TYPE_CHECKING, Annotated, Protocol

from fastapi import Depends, Request

# names for type checkers only: at run time this file must be importable by every room
if TYPE_CHECKING:
    from mlops_platform.approvals.interfaces import Subjects
    from mlops_platform.audit.interfaces import Verifier
    from mlops_platform.backup.interfaces import BackupStore
    from mlops_platform.builds.interfaces import BundleSigner, BundleStore
    from mlops_platform.costs.interfaces import Bill, Meter
    from mlops_platform.database.session import Database
    from mlops_platform.deployments.interfaces import ServingRuntime
    from mlops_platform.environment_locks.interfaces import Archives, EnvironmentStore
    from mlops_platform.features.interfaces import FeatureStore
    from mlops_platform.identity.authorizer import Authorizer
    from mlops_platform.identity.elevations import Elevations
    from mlops_platform.identity.interfaces import IdentityProvider
    from mlops_platform.identity.people import People
    from mlops_platform.identity.sessions import Sessions
    from mlops_platform.materials.known import KnownAdvisories
    from mlops_platform.models.interfaces import ModelRegistry
    from mlops_platform.notifications.interfaces import ChannelBook
    from mlops_platform.predictions.interfaces import PredictionLog
    from mlops_platform.risk.interfaces import Holders
    from mlops_platform.rollouts.interfaces import Signals
    from mlops_platform.settings import Settings
    from mlops_platform.statements.interfaces import Bulletin, StatementSigner


class Services(Protocol):
    """Everything outside, chosen once in bootstrap.py."""

    @property
    def settings(self) -> "Settings": ...
    @property
    def database(self) -> "Database": ...
    @property
    def registry(self) -> "ModelRegistry": ...
    @property
    def features(self) -> "FeatureStore": ...
    @property
    def runtime(self) -> "ServingRuntime": ...
    @property
    def bundles(self) -> "BundleStore": ...
    @property
    def environments(self) -> "EnvironmentStore": ...
    @property
    def archives(self) -> "Archives | None": ...
    @property
    def advisories(self) -> "KnownAdvisories": ...
    @property
    def signals(self) -> "Signals": ...
    @property
    def signer(self) -> "BundleSigner": ...
    @property
    def statement_signer(self) -> "StatementSigner": ...
    @property
    def bulletin(self) -> "Bulletin | None": ...
    @property
    def identity(self) -> "IdentityProvider": ...
    @property
    def sessions(self) -> "Sessions": ...
    @property
    def people(self) -> "People": ...
    @property
    def elevations(self) -> "Elevations": ...
    @property
    def authorizer(self) -> "Authorizer": ...
    @property
    def prediction_log(self) -> "PredictionLog": ...
    @property
    def channels(self) -> "ChannelBook": ...
    @property
    def approval_subjects(self) -> "Subjects": ...
    @property
    def holders(self) -> "Holders": ...
    @property
    def audit_verifier(self) -> "Verifier": ...
    @property
    def backups(self) -> "BackupStore | None": ...
    @property
    def costs(self) -> "Bill | Meter": ...


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
