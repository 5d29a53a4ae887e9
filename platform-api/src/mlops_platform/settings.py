"""Every setting of the platform, read from the environment (prefix MLOPS_). Building settings does no I/O.

Each field's description is the reference: docs/reference/settings.md is generated from it and a test compares them.
"""

import re
from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from mlops_platform.settings_backups import BackupSettings
from mlops_platform.settings_environments import EnvironmentSettings
from mlops_platform.settings_identity import IdentitySettings
from mlops_platform.settings_limits import Limits
from mlops_platform.settings_rules import check_cluster

PACKAGE = Path(__file__).parent


class Settings(IdentitySettings, EnvironmentSettings, BackupSettings, Limits):
    """Where things are and how large they may be. Illegal combinations raise at start, with a sentence."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", extra="ignore", frozen=True)

    environment: Literal["development", "staging", "production"] = Field(
        "development", description="Development conveniences refuse to start when this is 'production'."
    )
    home: Path = Field(Path(".mlops"), description="Folder that holds all state of an embedded platform.")
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, description="Port the API, the console and the data plane listen on.")
    api_workers: int = Field(1, ge=1, le=64, description="API processes; one per core is the useful maximum.")
    start_seconds: float = Field(600, gt=0, description="Seconds in which a process of `mlops up` must have started.")
    hung_seconds: float = Field(20, ge=5, description="Seconds of silence after which `mlops up` replaces a process.")
    heartbeat_file: Path | None = Field(None, description="File a process touches while it lives; set by `mlops up`.")
    worker_metrics_port: int | None = Field(
        None,
        description="Port the worker, or the door of MLflow, answers /metrics on; empty when it shares the API's folder of counters.",
    )
    public_url: str | None = Field(
        None, description="URL people reach the platform at, when it differs from host and port."
    )
    trusted_hosts: list[str] = Field(
        default_factory=list,
        description="More names the control plane answers to (a JSON list; '*.example.com' for all below one), beside the public URL's, "
        "addresses, names without a dot, and those below .svc, .cluster.local and .localhost. Others answer 421.",
    )
    scrape_token_file: Path | None = Field(
        None,
        description="Secret that opens /metrics and the details of /ready; by default <home>/keys/scrape.token, made at first use.",
    )

    # PostgreSQL
    database_url: SecretStr = Field(
        SecretStr("postgresql+psycopg://mlops@127.0.0.1:5432/mlops"),
        description="SQLAlchemy URL of the platform's database.",
    )
    database_pool_size: int = Field(
        10,
        ge=1,
        description="Connections each process has to PostgreSQL, for writing and for reading; twice as many at a peak.",
    )
    database_pool_kept: int | None = Field(
        None, ge=1, description="How many of them stay open while nobody needs them; by default all."
    )

    # outside systems
    mlflow_url: str = Field(
        "http://127.0.0.1:5000", description="MLflow tracking server as the platform reaches it, behind its door."
    )
    mlflow_secret_file: Path | None = Field(
        None,
        description="File with the secret that this MLflow server demands; empty when nobody else can reach it (a pod's loopback).",
    )
    mlflow_public_url: str | None = Field(
        None, description="URL at which people reach MLflow: the door's. By default MLOPS_MLFLOW_URL."
    )
    feast_repo: Path | None = Field(None, description="Folder with feature_store.yaml; by default <home>/feast.")
    prometheus_url: str | None = Field(
        None, description="Prometheus server that rollouts are judged by when MLOPS_SIGNALS is 'prometheus'."
    )

    # governance
    policy_file: Path = Field(
        PACKAGE / "policy" / "policy.yaml", description="Approval and rollout policy (YAML, versioned)."
    )
    audit_key_file: Path | None = Field(
        None, description="Ed25519 key that signs audit heads; by default <home>/keys/audit.pem."
    )
    audit_pseudonym_key_file: Path | None = Field(
        None,
        description="Secret (32 bytes or more) that keys the hashes which stand for people in the audit log; by default "
        "audit-pseudonyms.key beside the key that signs heads. With another secret the same people appear under other hashes.",
    )
    audit_anchor_file: Path | None = Field(
        None,
        description="Signed audit heads are also appended here, outside the database; by default <home>/audit/heads.jsonl.",
    )
    audit_mirror_table: str | None = Field(
        None, description="DynamoDB table that keeps a copy of every audit event; with MLOPS_AUDIT_MIRROR_BUCKET."
    )
    audit_mirror_bucket: str | None = Field(
        None,
        description="S3 bucket with Object Lock that keeps signed audit heads; with MLOPS_AUDIT_MIRROR_TABLE. Both empty: no mirror.",
    )

    # money and tenants
    costs: Literal["measured", "aws"] = Field(
        "measured",
        description="Where costs are read: measured on this machine at list prices, or from AWS Cost Explorer.",
    )
    costs_aws_environment: str = Field(
        "", description="Value of the AWS tag 'environment' whose costs are read; needed when costs is 'aws'."
    )
    costs_tenant_tag: str = Field("tenant", description="AWS cost allocation tag that names a resource's tenant.")
    costs_refresh_seconds: int = Field(
        21_600, ge=600, description="Pause between two readings of the bill; each costs a few cents."
    )
    tenants_dir: Path | None = Field(
        None, description="Folder of tenant definitions (YAML), read for budgets; empty: no budgets."
    )

    # signatures of built models
    model_signing_key_file: Path | None = Field(
        None, description="Elliptic-curve key (PEM) that signs built models; by default <home>/keys/models.pem."
    )
    model_signing_certificate_file: Path | None = Field(
        None,
        description="Certificate (PEM) of that key, issued by your authority; empty means that the key stands alone.",
    )
    model_signing_roots_file: Path | None = Field(
        None, description="Root certificates (PEM) that a signing certificate must lead to."
    )

    # statements of approval
    statement_key_file: Path | None = Field(
        None,
        description="Elliptic-curve key (P-256, PEM) that signs statements of approval; by default <home>/signing/statements.pem, "
        "from which `mlops up` keeps every process but the worker. In a folder of its own.",
    )
    statement_kms_key: str | None = Field(
        None,
        description="ARN of an AWS KMS key (ECC_NIST_P256) that signs statements of approval instead of a file.",
    )
    statement_public_keys_file: Path | None = Field(
        None,
        description="Public keys (PEM, one or several) that statements of approval must be signed with; by default "
        "<home>/signing/statements.pub. Every process that loads a model needs it.",
    )
    statement_grace_until: date | None = Field(
        None,
        description="Until this day (UTC), what runs from before statements existed is served without one; empty: never.",
    )

    # serving
    serving: Literal["local", "kserve"] = Field(
        "local", description="What runs models: processes on this machine, or KServe on Kubernetes."
    )
    signals: Literal["metrics", "prometheus"] = Field(
        "metrics",
        description="What rollouts are judged by: this API process's own counters, or Prometheus at MLOPS_PROMETHEUS_URL.",
    )
    kserve_image: str | None = Field(
        None, description="Image of the model server, by digest (name@sha256:...); needed with serving=kserve."
    )
    kserve_namespace: str = Field(
        "tenant-{tenant}-{environment}", description="Template of the namespace a tenant's models run in."
    )
    kserve_runtime: str = Field("model-server", description="Name of the ClusterServingRuntime.")
    kserve_service_account: str = Field(
        "model-server", description="Service account of model pods; Pod Identity lets it read bundles."
    )
    kserve_gateway: str = Field("models", description="Gateway that models are reached through from outside.")
    kserve_gateway_namespace: str = Field("gateway", description="Namespace of that Gateway.")
    kserve_domain: str = Field("models.internal", description="Domain below which each deployment has a host name.")
    kserve_request_seconds: int = Field(30, ge=1, le=600, description="Longest time a model may take to answer.")
    kserve_replicas_factor: int = Field(
        2, ge=1, le=10, description="A model scales from its replicas to this many times as many."
    )
    kserve_patience_seconds: int = Field(
        900, ge=30, description="How long a model may take to come up before it counts as failed."
    )
    kserve_api_seconds: float = Field(10, gt=0, description="Longest wait for one answer of the Kubernetes API server.")
    bundle_uri: str | None = Field(
        None, description="Where bundles are published (s3://bucket/prefix); needed with serving=kserve."
    )
    prediction_table_uri: str | None = Field(
        None,
        description="Where the table of predictions lies (s3://bucket/prefix); by default <home>/predictions/table. "
        "Segments stay below <home>.",
    )
    s3_endpoint_url: str | None = Field(None, description="Another S3 endpoint than AWS's own, for tests and gateways.")

    @property
    def feast_folder(self) -> Path:
        """The Feast repository."""
        return self.feast_repo or self.home / "feast"

    @property
    def keys(self) -> Path:
        """Folder of private keys (0700)."""
        return self.home / "keys"

    @property
    def scrape_token(self) -> Path:
        """Secret of those who read metrics."""
        return self.scrape_token_file or self.keys / "scrape.token"

    @property
    def audit_key(self) -> Path:
        """Private key that signs audit heads."""
        return self.audit_key_file or self.keys / "audit.pem"

    @property
    def audit_pseudonym_key(self) -> Path:
        """Secret that keys the hashes which stand for people."""
        return self.audit_pseudonym_key_file or self.audit_key.with_name("audit-pseudonyms.key")

    @property
    def audit_anchor(self) -> Path:
        """Append-only copy of signed audit heads, outside the database."""
        return self.audit_anchor_file or self.home / "audit" / "heads.jsonl"

    @property
    def model_signing_key(self) -> Path:
        """Private key that signs built models."""
        return self.model_signing_key_file or self.keys / "models.pem"

    @property
    def statement_key(self) -> Path:
        """Private key that signs statements of approval."""
        return self.statement_key_file or self.home / "signing" / "statements.pem"

    @property
    def statement_public_keys(self) -> Path:
        """Public keys that statements of approval must be signed with."""
        return self.statement_public_keys_file or self.home / "signing" / "statements.pub"

    @property
    def prediction_log_dir(self) -> Path:
        """Segments of served predictions; their Delta table too, unless it lies elsewhere."""
        return self.home / "predictions"

    @property
    def bundle_dir(self) -> Path:
        """Compiled, proven model bundles, one folder per build."""
        return self.home / "bundles"

    @property
    def environments_dir(self) -> Path:
        """Libraries of models that have their own, one folder per lock."""
        return self.home / "environments"

    @property
    def bundle_cache_dir(self) -> Path:
        """Published bundles as this process fetched and checked them."""
        return self.home / "bundle-cache"

    @property
    def runtime_dir(self) -> Path:
        """Specifications, sockets and status of local model processes."""
        return self.home / "runtime"

    @property
    def url(self) -> str:
        """URL of the platform as people reach it, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    def mlflow_secret(self) -> str | None:
        """Return what MLflow demands behind its door, None when it demands nothing. Raises OSError when it cannot be read."""
        return None if self.mlflow_secret_file is None else self.mlflow_secret_file.read_text().strip()

    @property
    def issuer_url(self) -> str:
        """The 'iss' every token must carry."""
        return self.issuer or f"{self.url}/issuer"

    @model_validator(mode="after")
    def _refuse_half_a_mirror(self) -> Self:
        if (self.audit_mirror_table is None) != (self.audit_mirror_bucket is None):
            raise ValueError(
                "MLOPS_AUDIT_MIRROR_TABLE and MLOPS_AUDIT_MIRROR_BUCKET belong together: events without locked heads, or heads "
                "without events, prove nothing."
            )
        if self.audit_mirror_table is not None and not re.fullmatch(r"[\w.-]{3,255}", self.audit_mirror_table):
            raise ValueError("MLOPS_AUDIT_MIRROR_TABLE must be the plain name of a DynamoDB table.")
        if self.audit_mirror_bucket is not None and not re.fullmatch(r"[a-z0-9.-]{3,63}", self.audit_mirror_bucket):
            raise ValueError("MLOPS_AUDIT_MIRROR_BUCKET must be the plain name of a bucket, without s3://.")
        return self

    @model_validator(mode="after")
    def _know_whose_costs_are_read(self) -> Self:
        if self.costs == "aws" and not self.costs_aws_environment:
            raise ValueError("MLOPS_COSTS_AWS_ENVIRONMENT must name the environment tag whose costs are read.")
        return self

    @model_validator(mode="after")
    def _know_addresses_on_s3(self) -> Self:
        for name, uri in (
            ("MLOPS_BUNDLE_URI", self.bundle_uri),
            ("MLOPS_PREDICTION_TABLE_URI", self.prediction_table_uri),
            ("MLOPS_BACKUP_MLFLOW_URI", self.backup_mlflow_uri),
            ("MLOPS_BACKUP_LAKE_URI", self.backup_lake_uri),
            ("MLOPS_BACKUP_SCRATCH_URI", self.backup_scratch_uri),
        ):
            if uri is not None and not re.fullmatch(r"s3://[a-z0-9.-]+(/[^?#]*)?", uri):
                raise ValueError(f"{name} must look like s3://bucket/prefix.")
        if self.backup_rds_instance is not None and self.backup_kms_key is None:
            raise ValueError(
                "MLOPS_BACKUP_KMS_KEY must be set with MLOPS_BACKUP_RDS_INSTANCE: nobody restores what nobody signed."
            )
        return self

    @model_validator(mode="after")
    def _refuse_half_a_cluster(self) -> Self:
        check_cluster(self)
        return self

    @model_validator(mode="after")
    def _refuse_development_conveniences_in_production(self) -> Self:
        if self.environment == "production" and self.issuer is None:
            raise ValueError(
                "MLOPS_ISSUER must name an OIDC issuer: the embedded development issuer refuses to run in production."
            )
        if self.environment == "production" and not (self.issuer or "").startswith("https://"):
            raise ValueError("MLOPS_ISSUER must be an https:// URL in production.")
        if self.statement_kms_key is not None and self.statement_public_keys_file is None:
            raise ValueError(
                "MLOPS_STATEMENT_PUBLIC_KEYS_FILE must hold the public half of MLOPS_STATEMENT_KMS_KEY: a verifier is given its "
                "keys, it does not ask for them."
            )
        if (self.model_signing_certificate_file is None) != (self.model_signing_roots_file is None):
            raise ValueError("MLOPS_MODEL_SIGNING_CERTIFICATE_FILE and MLOPS_MODEL_SIGNING_ROOTS_FILE belong together.")
        return self
