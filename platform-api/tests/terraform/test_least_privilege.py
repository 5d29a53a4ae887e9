"""What workloads and the pipeline may do in AWS, and what they may not: calls simulated on the policies an applied plan renders."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mlops_platform.audit.heads import SignedHead
from mlops_platform.audit.interfaces import MirroredEvent
from mlops_platform.kit.clock import now
from mlops_platform.kit.ids import new_id
from tests.emulated_mirror import Faulty, create

from .conftest import ACCOUNT, EmulatedAws
from .iam_simulation import allowed
from .workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.external("terraform"), pytest.mark.timeout(900)]

BUCKET = "arn:aws:s3:::mlops-{}/"
TABLE = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/mlops-"
CACHE = f"arn:aws:elasticache:us-east-1:{ACCOUNT}:"
VARIABLES = {
    "name": "mlops",
    "cluster_name": "mlops",
    "tenant_namespaces": ["team-a"],
    "bucket_arns": {
        name: f"arn:aws:s3:::mlops-{name}"
        for name in ("artifacts", "data-lake", "prediction-log", "audit", "backups", "restore-scratch")
    },
    "table_arns": {name: f"{TABLE}{name}" for name in ("audit-log",)},
    "online_store_connect_arns": [f"{CACHE}replicationgroup:mlops", f"{CACHE}user:mlops-features"],
    "data_kms_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/data",
    "secrets_kms_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/secrets",
    "statements_kms_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/statements",
    "backups_kms_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/backups",
    "database_instance": "mlops",
    "database_kms_key_arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/database",
    "secrets_prefix": "mlops-platform/test",
}
PIPELINE = {
    "name": "mlops",
    "repository": "example/mlops",
    "github_environment": "staging",
    "repository_arns": [f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mlops/mlflow"],
    "cluster_arn": f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/mlops",
}

Policies = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def policies(workspace: Workspace, aws: EmulatedAws) -> Policies:
    found: Policies = {}
    for module, variables in (("iam", VARIABLES), ("github-oidc", PIPELINE)):
        root = f"modules/{module}"
        (workspace.folder / root / "simulated.tfvars.json").write_text(json.dumps(variables))
        workspace.init(root)
        plan = workspace.plan(root, "-var-file=simulated.tfvars.json", extra=aws.variables)
        for change in plan["resource_changes"]:
            if change["type"] == "aws_iam_role_policy":
                found[change.get("index", "deploy")] = json.loads(change["change"]["after"]["policy"])["Statement"]
    return found


def bucket(name: str, key: str) -> str:
    return f"arn:aws:s3:::mlops-{name}/{key}"


def instance(name: str) -> str:
    return f"arn:aws:rds:us-east-1:{ACCOUNT}:db:{name}"


ALLOWED = [
    ("platform-backup", "s3:GetObjectVersion", bucket("artifacts", "mlflow/1/model.pkl")),
    ("platform-backup", "s3:ListBucketVersions", "arn:aws:s3:::mlops-prediction-log"),
    ("platform-backup", "s3:PutObject", bucket("backups", "platform/backups/x.manifest")),
    ("platform-backup", "rds:CreateDBSnapshot", f"arn:aws:rds:us-east-1:{ACCOUNT}:snapshot:mlops-backup-1"),
    ("platform-restore-test", "rds:RestoreDBInstanceToPointInTime", instance("mlops-restore-test")),
    ("platform-restore-test", "rds:DeleteDBInstance", instance("mlops-restore-test")),
    ("platform-restore-test", "s3:DeleteObject", bucket("restore-scratch", "restore-test/x")),
    ("platform-restore-test", "s3:PutObject", bucket("backups", "platform/tests/x.good")),
    ("mlflow", "s3:PutObject", bucket("artifacts", "mlflow/1/model.pkl")),
    ("platform-api", "s3:GetObject", bucket("artifacts", "mlflow/1/model.pkl")),
    ("platform-api", "s3:PutObject", bucket("prediction-log", "rows.parquet")),
    ("platform-api", "elasticache:Connect", f"{CACHE}replicationgroup:mlops"),
    ("platform-api", "elasticache:Connect", f"{CACHE}user:mlops-features"),
    # Feast asks whether its registry's bucket exists, which S3 counts as a listing without a prefix
    ("platform-api", "s3:ListBucket", "arn:aws:s3:::mlops-data-lake"),
    ("platform-api", "s3:GetObject", bucket("data-lake", "registry/registry.db")),
    ("platform-worker", "elasticache:Connect", f"{CACHE}replicationgroup:mlops"),
    ("platform-worker", "elasticache:Connect", f"{CACHE}user:mlops-features"),
    ("platform-worker", "s3:ListBucket", "arn:aws:s3:::mlops-data-lake"),
    ("platform-worker", "s3:GetObject", bucket("data-lake", "processed/rows.parquet")),
    ("platform-worker", "s3:PutObject", bucket("artifacts", "bundles/a")),
    ("platform-worker", "s3:PutObject", bucket("artifacts", "bundles-beside/a/recent-inputs.json")),
    ("platform-api", "s3:GetObject", bucket("artifacts", "bundles-beside/a/recent-inputs.json")),
    ("platform-api", "s3:GetObject", bucket("prediction-log", "predictions/_delta_log/0.json")),
    ("platform-api", "s3:ListBucket", "arn:aws:s3:::mlops-prediction-log"),
    ("platform-api", "s3:AbortMultipartUpload", bucket("prediction-log", "rows.parquet")),
    ("platform-api", "kms:GenerateDataKey", VARIABLES["data_kms_key_arn"]),
    ("platform-worker", "s3:DeleteObject", bucket("prediction-log", "rows.parquet")),
    ("platform-worker", "s3:ListBucket", "arn:aws:s3:::mlops-prediction-log"),
    ("platform-worker", "ce:GetCostAndUsage", "*"),
    ("platform-worker", "kms:GetPublicKey", VARIABLES["statements_kms_key_arn"]),
    ("model-serving", "s3:GetObject", bucket("artifacts", "bundles/a")),
    ("model-serving", "s3:GetObject", bucket("artifacts", "bundles/.approvals/revocations.json")),
    ("platform-worker", "s3:PutObject", bucket("artifacts", "bundles/.approvals/revocations.json")),
    (
        "external-secrets",
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:mlops-platform/test/x-AbCdEf",
    ),
    ("cloudwatch-exporter", "cloudwatch:GetMetricData", "*"),
    ("deploy", "ecr:PutImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mlops/mlflow"),
    ("deploy", "eks:DescribeCluster", f"arn:aws:eks:us-east-1:{ACCOUNT}:cluster/mlops"),
]
DENIED = [
    ("platform-backup", "s3:DeleteObjectVersion", bucket("artifacts", "mlflow/1/model.pkl")),
    ("platform-backup", "s3:PutObject", bucket("artifacts", "mlflow/1/model.pkl")),
    ("platform-backup", "s3:DeleteObject", bucket("backups", "platform/backups/x.manifest")),
    ("platform-backup", "s3:GetObjectVersion", bucket("data-lake", "raw/people.parquet")),
    ("platform-backup", "rds:DeleteDBInstance", instance("mlops")),
    ("platform-backup", "rds:DeleteDBSnapshot", f"arn:aws:rds:us-east-1:{ACCOUNT}:snapshot:mlops-backup-1"),
    ("platform-backup", "rds:RestoreDBInstanceToPointInTime", instance("mlops-restore-test")),
    ("platform-restore-test", "rds:DeleteDBInstance", instance("mlops")),
    ("platform-restore-test", "rds:RestoreDBInstanceToPointInTime", instance("another")),
    ("platform-restore-test", "rds:ModifyDBInstance", instance("mlops-restore-test")),
    ("platform-restore-test", "s3:PutObject", bucket("backups", "platform/backups/x.manifest")),
    ("platform-restore-test", "s3:PutObject", bucket("artifacts", "mlflow/x")),
    ("platform-restore-test", "s3:DeleteObject", bucket("prediction-log", "predictions/x")),
    ("platform-restore-test", "kms:Sign", VARIABLES["backups_kms_key_arn"]),
    ("platform-worker", "kms:Sign", VARIABLES["backups_kms_key_arn"]),
    ("platform-worker", "s3:PutObject", bucket("backups", "platform/backups/x.manifest")),
    ("model-serving", "s3:PutObject", bucket("artifacts", "bundles/.approvals/revocations.json")),
    ("platform-api", "s3:PutObject", bucket("artifacts", "bundles/.approvals/revocations.json")),
    ("platform-api", "s3:DeleteObject", bucket("prediction-log", "rows.parquet")),
    ("platform-worker", "s3:DeleteObjectVersion", bucket("prediction-log", "rows.parquet")),
    ("platform-api", "s3:PutObject", bucket("artifacts", "bundles-beside/a/recent-inputs.json")),
    ("model-serving", "s3:GetObject", bucket("artifacts", "bundles-beside/a/recent-inputs.json")),
    ("model-serving", "s3:GetObject", bucket("prediction-log", "rows.parquet")),
    ("platform-api", "s3:DeleteObject", bucket("audit", "heads/1")),
    ("platform-api", "s3:DeleteObjectVersion", bucket("audit", "heads/1")),
    ("platform-api", "s3:PutObject", bucket("audit", "heads/1")),
    ("platform-api", "s3:GetObjectVersion", bucket("audit", "heads/1")),
    ("platform-api", "dynamodb:PutItem", f"{TABLE}audit-log"),
    ("platform-api", "dynamodb:Scan", f"{TABLE}audit-log"),
    ("platform-api", "s3:PutObject", bucket("artifacts", "bundles/a")),
    ("platform-api", "dynamodb:DeleteItem", f"{TABLE}audit-log"),
    ("platform-api", "dynamodb:UpdateItem", f"{TABLE}audit-log"),
    ("platform-api", "elasticache:Connect", f"{CACHE}user:mlops-nobody"),
    ("platform-api", "elasticache:ModifyUser", f"{CACHE}user:mlops-features"),
    ("platform-api", "s3:GetObject", bucket("data-lake", "people/x")),
    ("platform-api", "s3:PutObject", bucket("data-lake", "raw/x")),
    ("platform-worker", "s3:DeleteObject", bucket("audit", "heads/1")),
    ("platform-worker", "s3:BypassGovernanceRetention", bucket("audit", "heads/1")),
    ("platform-worker", "s3:PutObjectRetention", bucket("audit", "heads/1")),
    ("platform-worker", "s3:PutObject", bucket("audit", "elsewhere/1")),
    ("platform-worker", "dynamodb:DeleteItem", f"{TABLE}audit-log"),
    ("platform-worker", "dynamodb:UpdateItem", f"{TABLE}audit-log"),
    ("platform-worker", "dynamodb:BatchWriteItem", f"{TABLE}audit-log"),
    ("platform-worker", "dynamodb:Query", f"{TABLE}audit-log/index/by-resource"),
    ("platform-worker", "s3:PutObject", bucket("artifacts", "mlflow/1/model.pkl")),
    ("model-serving", "s3:PutObject", bucket("artifacts", "bundles/a")),
    ("model-serving", "s3:DeleteObject", bucket("artifacts", "bundles/a")),
    ("model-serving", "s3:GetObject", bucket("artifacts", "mlflow/1/model.pkl")),
    ("model-serving", "s3:GetObject", bucket("data-lake", "raw/x")),
    ("model-serving", "elasticache:Connect", f"{CACHE}user:mlops-features"),
    ("mlflow", "elasticache:Connect", f"{CACHE}user:mlops-features"),
    ("model-serving", "s3:GetObject", bucket("audit", "heads/1")),
    ("model-serving", "kms:GenerateDataKey", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/data"),
    ("platform-api", "ce:GetCostAndUsage", "*"),
    ("mlflow", "s3:PutObject", bucket("artifacts", "bundles/a")),
    ("mlflow", "s3:GetObject", bucket("audit", "heads/1")),
    (
        "external-secrets",
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:mlops-platform/production/x-AbCdEf",
    ),
    (
        "external-secrets",
        "secretsmanager:PutSecretValue",
        f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:mlops-platform/test/x-AbCdEf",
    ),
    (
        "load-balancer-controller",
        "elasticloadbalancing:DeleteLoadBalancer",
        f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/of-somebody-else/1",
    ),
    ("cloudwatch-exporter", "cloudwatch:DeleteAlarms", "*"),
    ("deploy", "iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x"),
    ("deploy", "ecr:PutImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/other"),
    ("deploy", "ecr:BatchDeleteImage", f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mlops/mlflow"),
]


@pytest.mark.parametrize(("workload", "action", "resource"), ALLOWED)
def test_the_work_is_allowed(policies: Policies, workload: str, action: str, resource: str) -> None:
    assert allowed(policies[workload], action, resource)


@pytest.mark.parametrize(("workload", "action", "resource"), DENIED)
def test_nothing_more_is_allowed(policies: Policies, workload: str, action: str, resource: str) -> None:
    assert not allowed(policies[workload], action, resource)


# what IAM calls the operations of the audit mirror, and what each is asked of
MIRROR_RIGHTS = {
    "PutItem": ("dynamodb:PutItem", f"{TABLE}audit-log"),
    "Query": ("dynamodb:Query", f"{TABLE}audit-log"),
    "PutObject": ("s3:PutObject", bucket("audit", "heads/1")),
    "GetObject": ("s3:GetObjectVersion", bucket("audit", "heads/1")),
    "ListObjectVersions": ("s3:ListBucketVersions", "arn:aws:s3:::mlops-audit"),
}


@pytest.fixture
def mirror_calls(aws: EmulatedAws, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], set[tuple[str, str]]]:
    """Return the operations, each with the prefix it lists, that a part of the platform really makes on the mirror."""
    for name, value in aws.variables.items():
        monkeypatch.setenv(name, value)
    name = f"mirror-{new_id()}"
    create(aws.url, name)
    made: dict[str, set[tuple[str, str]]] = {"platform-worker": set(), "platform-api": set()}

    def mirror_of(workload: str) -> Faulty:
        mirror = Faulty(name, aws.url)
        for service in ("s3", "dynamodb"):
            mirror._clients[service].meta.events.register(
                "provide-client-params",
                lambda params, model, **_: made[workload].add((model.name, params.get("Prefix", ""))),
            )
        return mirror

    event = MirroredEvent(1, "default", "model:churn:1", "{}")
    worker, api = mirror_of("platform-worker"), mirror_of("platform-api")
    worker.keep([event], SignedHead(1, "a" * 64, now(), ""))
    worker.newest()
    for verifies in (worker, api):
        assert verifies.seals()
        assert verifies.events("default", 1, 1) == [event]
    assert worker.sealed_after(0) == [event]
    return made.__getitem__


@pytest.mark.parametrize("workload", ["platform-worker", "platform-api"])
def test_the_audit_mirror_may_do_what_it_does_and_no_more(
    policies: Policies, mirror_calls: Callable[[str], set[tuple[str, str]]], workload: str
) -> None:
    calls = mirror_calls(workload)
    for operation, prefix in calls:
        assert allowed(policies[workload], *MIRROR_RIGHTS[operation], {"s3:prefix": prefix}), operation
    given = {
        name for name, right in MIRROR_RIGHTS.items() if allowed(policies[workload], *right, {"s3:prefix": "heads/"})
    }
    assert given == {operation for operation, _ in calls}
    granted = {
        action
        for statement in policies[workload]
        for action in statement["Action"]
        if statement["Effect"] == "Allow"
        and any(":table/mlops-audit-log" in name or ":::mlops-audit" in name for name in statement["Resource"])
    }
    assert granted == {MIRROR_RIGHTS[operation][0] for operation in given}


def test_the_worker_alone_signs_statements_and_only_in_one_way(policies: Policies) -> None:
    key = VARIABLES["statements_kms_key_arn"]
    ours, other = ({"kms:SigningAlgorithm": name} for name in ("ECDSA_SHA_256", "ECDSA_SHA_512"))
    assert [name for name in policies if allowed(policies[name], "kms:Sign", key, ours)] == ["platform-worker"]
    assert not allowed(policies["platform-worker"], "kms:Sign", key, other)
    assert not allowed(policies["platform-worker"], "kms:Sign", VARIABLES["secrets_kms_key_arn"], ours)


def test_a_load_balancer_that_is_the_clusters_may_go(policies: Policies) -> None:
    its = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/ours/1"
    tagged = {"aws:ResourceTag/elbv2.k8s.aws/cluster": "mlops"}
    assert allowed(policies["load-balancer-controller"], "elasticloadbalancing:DeleteLoadBalancer", its, tagged)


def test_no_wildcard_action_meets_a_wildcard_resource(policies: Policies) -> None:
    for workload, statements in policies.items():
        for statement in statements:
            if statement["Effect"] == "Allow" and "*" in statement["Resource"]:
                assert not [action for action in statement["Action"] if "*" in action], workload
