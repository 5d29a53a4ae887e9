"""The one place that chooses: settings in, every outside part out.

An adapter is imported where it is chosen: a process loads the libraries of what it uses, and a command that needs one part
starts in a second.
"""

from dataclasses import dataclass

from mlops_platform.approvals.claims import RecordedApprovals
from mlops_platform.approvals.interfaces import Subjects
from mlops_platform.audit.interfaces import Mirror, RecordedState, Verifier
from mlops_platform.audit.service import anchor_committed, append
from mlops_platform.audit.signing import AuditLog
from mlops_platform.backup.interfaces import BackupStore
from mlops_platform.bootstrap_backups import build_backup_store
from mlops_platform.bootstrap_identity import build_identity, build_sessions
from mlops_platform.bootstrap_statements import build_archives, build_bulletin, build_statement_signer
from mlops_platform.builds.interfaces import BundleSigner, BundleStore
from mlops_platform.costs.interfaces import Bill, Meter
from mlops_platform.database.session import Database, Session
from mlops_platform.deployments.claims import RecordedRevisions
from mlops_platform.deployments.interfaces import ServingRuntime
from mlops_platform.deployments.revisions import HeldRevisions
from mlops_platform.environment_locks.interfaces import Archives, EnvironmentStore
from mlops_platform.features.interfaces import FeatureStore
from mlops_platform.idempotency.claims import record_effect
from mlops_platform.identity.authorizer import Authorizer
from mlops_platform.identity.elevation_claims import RecordedElevations
from mlops_platform.identity.elevations import Elevations
from mlops_platform.identity.interfaces import IdentityProvider
from mlops_platform.identity.people import People
from mlops_platform.identity.sessions import Sessions
from mlops_platform.materials.known import KnownAdvisories
from mlops_platform.mlflow_door.interfaces import Upstream
from mlops_platform.mlflow_door.pace import paced
from mlops_platform.models.classified import Catalogue
from mlops_platform.models.interfaces import ModelRegistry
from mlops_platform.notifications.interfaces import ChannelBook
from mlops_platform.predictions.interfaces import PredictionLog
from mlops_platform.risk.claims import RecordedRisk
from mlops_platform.risk.interfaces import Holders
from mlops_platform.rollouts.interfaces import Signals
from mlops_platform.settings import Settings
from mlops_platform.statements.interfaces import Bulletin, StatementSigner
from mlops_platform.tenants.interfaces import TenantCluster


@dataclass(frozen=True)
class BuiltServices:
    """Everything outside, chosen once."""

    settings: Settings
    database: Database
    identity: IdentityProvider
    sessions: Sessions
    people: People
    elevations: Elevations
    authorizer: Authorizer
    registry: ModelRegistry
    features: FeatureStore
    runtime: ServingRuntime
    bundles: BundleStore
    environments: EnvironmentStore
    advisories: KnownAdvisories
    signals: Signals
    signer: BundleSigner
    statement_signer: StatementSigner
    prediction_log: PredictionLog
    channels: ChannelBook
    approval_subjects: Subjects
    """What requests for approval are about: it learns how a request ended."""
    holders: Holders
    """Which versions hold the bytes whose risk is recorded."""
    audit_verifier: Verifier
    costs: Bill | Meter
    backups: BackupStore | None
    """Where this platform's backups are kept, when a setting names it."""
    bulletin: Bulletin | None = None
    """Where model servers in pods read statements and lists; None where none run."""
    archives: Archives | None = None
    """Where pods read the libraries of models that have their own; None where none run."""


# the rooms whose rows must follow from the audit log
RECORDED_STATES: tuple[RecordedState, ...] = (
    RecordedApprovals(),
    RecordedElevations(),
    RecordedRevisions(),
    RecordedRisk(),
)


@dataclass(frozen=True)
class FrontServices:
    """What the door of MLflow needs: no model runs there, no feature is read."""

    settings: Settings
    database: Database
    identity: IdentityProvider
    sessions: Sessions
    authorizer: Authorizer
    upstream: Upstream


def build_audit_mirror(settings: Settings) -> Mirror | None:
    """Return where the audit log is copied to, or None: then PostgreSQL and the anchor file are all there is."""
    if settings.audit_mirror_table is None or settings.audit_mirror_bucket is None:
        return None
    from mlops_platform.adapters.aws.audit_mirror import AwsAuditMirror

    return AwsAuditMirror(settings.audit_mirror_table, settings.audit_mirror_bucket, settings.s3_endpoint_url)


def build_database(settings: Settings) -> Database:
    """Return the platform's database, its sessions knowing the audit log's keys and mirror."""
    mirror = build_audit_mirror(settings)
    audit = AuditLog(settings.audit_key, settings.audit_pseudonym_key, settings.audit_anchor, mirror)
    return Database(
        settings.database_url.get_secret_value(),
        settings.database_pool_size,
        {"audit_log": audit, "recorded_states": RECORDED_STATES},
        before_commit=_before_commit,
        after_commit=anchor_committed,
        kept=settings.database_pool_kept,
    )


async def _before_commit(session: Session) -> None:
    """Locks are taken in this order; see docs/architecture/locks-and-states.md."""
    await append(session)
    await record_effect(session)


def build_costs(settings: Settings) -> Bill | Meter:
    """Return where costs are read: AWS's bill, or this machine's meter."""
    if settings.costs == "aws":
        from mlops_platform.adapters.aws.costs import AwsCosts

        return AwsCosts(settings.costs_tenant_tag, "environment", settings.costs_aws_environment)
    from mlops_platform.adapters.local.meter import LocalMeter

    return LocalMeter(settings.home)


def build_tenant_cluster() -> TenantCluster:
    """Return the cluster of the current kubeconfig, or of the pod this runs in. Nothing is connected yet."""
    from mlops_platform.adapters.kubernetes.tenants import KubernetesTenants

    return KubernetesTenants()


def build_runtime(settings: Settings) -> ServingRuntime:
    """Return what runs models."""
    if settings.serving == "local":
        from mlops_platform.adapters.local.runtime import LocalRuntime

        return LocalRuntime(settings.runtime_dir)
    from mlops_platform.adapters.kserve.manifests import ClusterPlace
    from mlops_platform.adapters.kserve.runtime import KServeRuntime

    place = ClusterPlace(
        image=settings.kserve_image or "",
        namespace_template=settings.kserve_namespace,
        runtime=settings.kserve_runtime,
        service_account=settings.kserve_service_account,
        gateway=settings.kserve_gateway,
        gateway_namespace=settings.kserve_gateway_namespace,
        domain=settings.kserve_domain,
        replicas_factor=settings.kserve_replicas_factor,
        request_timeout_seconds=settings.kserve_request_seconds,
    )
    return KServeRuntime(
        place, timeout_seconds=settings.kserve_api_seconds, patience_seconds=settings.kserve_patience_seconds
    )


def build_bundles(settings: Settings) -> BundleStore:
    """Return where built bundles are kept."""
    if settings.bundle_uri is None:
        from mlops_platform.adapters.local.bundles import LocalBundles

        return LocalBundles(settings.bundle_dir)
    from mlops_platform.adapters.aws.bundles import S3Bundles

    return S3Bundles(settings.bundle_uri, settings.bundle_cache_dir.absolute(), settings.s3_endpoint_url)


def build_environments(settings: Settings) -> EnvironmentStore:
    """Return where the libraries of models that have their own are installed."""
    from mlops_platform.adapters.uv.environments import UvEnvironments

    return UvEnvironments.of(settings)


def build_signals(settings: Settings) -> Signals:
    """Return what rollouts are judged by."""
    if settings.signals == "prometheus" and settings.prometheus_url is not None:
        from mlops_platform.adapters.prometheus.signals import PrometheusSignals

        return PrometheusSignals(settings.prometheus_url)
    from mlops_platform.adapters.local.signals import MetricsSignals

    return MetricsSignals(settings.url, settings.scrape_token)


def build_registry(settings: Settings) -> ModelRegistry:
    """Return the model registry."""
    from mlops_platform.adapters.mlflow.registry import MlflowRegistry

    return MlflowRegistry(settings.mlflow_url, settings.mlflow_secret())


def build_front(settings: Settings) -> FrontServices:
    """Return the parts of the door of MLflow. Nothing is connected yet."""
    from mlops_platform.adapters.mlflow.upstream import MlflowUpstream

    database = build_database(settings)
    identity = build_identity(settings, database)
    return FrontServices(
        settings=settings,
        database=database,
        identity=identity,
        sessions=build_sessions(settings, database, identity),
        authorizer=Authorizer(),
        upstream=paced(
            MlflowUpstream(settings.mlflow_url, settings.mlflow_secret()), settings.artifact_bytes_per_second
        ),
    )


def preload() -> None:
    """Import what `build` and the first requests import on one machine: a process that is forked afterwards starts at once."""
    import mlops_platform.adapters.delta.prediction_log
    import mlops_platform.adapters.feast.registry
    import mlops_platform.adapters.feast.store
    import mlops_platform.adapters.local.runtime
    import mlops_platform.adapters.local.signals
    import mlops_platform.adapters.mlflow.registry
    import mlops_platform.adapters.openssf.signer  # noqa: F401


def build(settings: Settings) -> BuiltServices:
    """Return every part, ready for use. Nothing is connected yet: the first use does that."""
    from mlops_platform.adapters.delta.prediction_log import DeltaPredictionLog
    from mlops_platform.adapters.feast.store import FeastStore
    from mlops_platform.adapters.local.verifier import ProcessVerifier
    from mlops_platform.adapters.notices.book import FileOfChannels
    from mlops_platform.adapters.openssf.signer import OpenSsfSigner

    database = build_database(settings)
    identity = build_identity(settings, database)
    return BuiltServices(
        settings=settings,
        database=database,
        identity=identity,
        sessions=build_sessions(settings, database, identity),
        people=People(database),
        elevations=Elevations(database, settings.elevations),
        authorizer=Authorizer(),
        registry=build_registry(settings),
        features=FeastStore(settings.feast_folder),
        runtime=build_runtime(settings),
        bundles=build_bundles(settings),
        environments=build_environments(settings),
        advisories=KnownAdvisories(settings.advisories),
        signals=build_signals(settings),
        signer=OpenSsfSigner(
            settings.model_signing_key, settings.model_signing_certificate_file, settings.model_signing_roots_file
        ),
        statement_signer=build_statement_signer(settings),
        prediction_log=DeltaPredictionLog(
            settings.prediction_log_dir, settings.prediction_table_uri, settings.s3_endpoint_url
        ),
        channels=FileOfChannels(settings.channels_file, production=settings.environment == "production"),
        approval_subjects=HeldRevisions(),
        holders=Catalogue(),
        audit_verifier=ProcessVerifier(settings),
        costs=build_costs(settings),
        backups=None
        if settings.backup_uri is None
        else build_backup_store(settings.backup_uri, settings.s3_endpoint_url),
        bulletin=build_bulletin(settings),
        archives=build_archives(settings),
    )
