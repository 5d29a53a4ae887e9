"""Changes that need a second look are named; quiet plans stay quiet."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.infrastructure.plan import read
from mlops_platform.infrastructure.risks import Danger, Judgement, judge

from ..cli.conftest import Ran


def change(
    kind: str, before: Any, after: Any, *, unknown: Any = None, actions: list[str] | None = None, because: Any = ()
) -> dict[str, Any]:
    if actions is None:
        actions = ["create"] if before is None else ["delete"] if after is None else ["update"]
    detail = {
        "actions": actions,
        "before": before,
        "after": after,
        "after_unknown": unknown or {},
        "replace_paths": list(because),
    }
    return {"address": f"{kind}.this", "type": kind, "mode": "managed", "change": detail}


def document(*changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "planned_values": {"root_module": {}},
        "resource_changes": list(changes),
        "variables": {"environment": {"value": "dev"}},
    }


def judged(*changes: dict[str, Any]) -> Judgement:
    return judge(read(document(*changes)))


def found(*changes: dict[str, Any]) -> list[tuple[Danger, str]]:
    return [(risk.danger, risk.sentence) for risk in judged(*changes).risks]


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement} for statement in statements]}
    )


# --- data

STATEFUL = [
    "aws_db_instance",
    "aws_s3_bucket",
    "aws_dynamodb_table",
    "aws_kms_key",
    "aws_secretsmanager_secret",
    "aws_eks_cluster",
    "aws_elasticache_replication_group",
    "aws_ecr_repository",
    "aws_cloudwatch_log_group",
    "aws_route53_zone",
]


@pytest.mark.parametrize("kind", STATEFUL)
def test_deleting_what_keeps_state_is_data_loss(kind: str) -> None:
    assert (Danger.DATA_LOSS) in {danger for danger, _ in found(change(kind, {"name": "x"}, None))}


@pytest.mark.parametrize("order", [["delete", "create"], ["create", "delete"]])
def test_replacing_a_database_is_data_loss_and_says_why(order: list[str]) -> None:
    risks = found(
        change("aws_db_instance", {"engine": "a"}, {"engine": "b"}, actions=order, because=[["storage_encrypted"]])
    )
    assert risks == [
        (Danger.DATA_LOSS, "it is replaced because storage_encrypted changes: its databases would be lost")
    ]


def test_forgetting_a_bucket_is_a_risk() -> None:
    assert found(change("aws_s3_bucket", {"bucket": "a"}, None, actions=["forget"]))[0][0] is Danger.DATA_LOSS


# --- exposure

EXPOSED = {
    "ssh from anywhere": (
        change(
            "aws_security_group",
            {"ingress": []},
            {"ingress": [{"cidr_blocks": ["0.0.0.0/0"], "protocol": "tcp", "from_port": 22, "to_port": 22}]},
        ),
        "the world may reach tcp port 22",
    ),
    "a rule of its own": (
        change("aws_vpc_security_group_ingress_rule", None, {"cidr_ipv4": "0.0.0.0/0", "ip_protocol": "-1"}),
        "the world may reach every port",
    ),
    "over IPv6": (
        change(
            "aws_vpc_security_group_ingress_rule",
            None,
            {"cidr_ipv6": "::/0", "ip_protocol": "tcp", "from_port": 80, "to_port": 90},
        ),
        "the world may reach tcp ports 80-90",
    ),
    "an old-style rule": (
        change(
            "aws_security_group_rule",
            None,
            {"type": "ingress", "cidr_blocks": ["0.0.0.0/0"], "protocol": "tcp", "from_port": 443, "to_port": 443},
        ),
        "the world may reach tcp port 443",
    ),
    "the Kubernetes API": (
        change(
            "aws_eks_cluster",
            {"vpc_config": [{"endpoint_public_access": False}]},
            {"vpc_config": [{"endpoint_public_access": True}]},
        ),
        "the Kubernetes API answers to 0.0.0.0/0",
    ),
    "one more office": (
        change(
            "aws_eks_cluster",
            {"vpc_config": [{"endpoint_public_access": True, "public_access_cidrs": ["192.0.2.0/24"]}]},
            {
                "vpc_config": [
                    {"endpoint_public_access": True, "public_access_cidrs": ["192.0.2.0/24", "198.51.100.0/24"]}
                ]
            },
        ),
        "the Kubernetes API answers to 198.51.100.0/24",
    ),
    "a database": (
        change("aws_db_instance", {"publicly_accessible": False}, {"publicly_accessible": True}),
        "the database gets a public address",
    ),
    "a new load balancer": (change("aws_lb", None, {"internal": False}), "the load balancer faces the internet"),
    "a bucket's block switched off": (
        change(
            "aws_s3_bucket_public_access_block",
            dict.fromkeys(
                ["block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"], True
            ),
            {
                "block_public_acls": True,
                "block_public_policy": False,
                "ignore_public_acls": True,
                "restrict_public_buckets": True,
            },
        ),
        "the bucket may be made public (block_public_policy off)",
    ),
    "a bucket's block deleted": (
        change("aws_s3_bucket_public_access_block", {"block_public_acls": True}, None),
        "it is deleted: the bucket may be made public",
    ),
    "a public ACL": (
        change("aws_s3_bucket_acl", {"acl": "private"}, {"acl": "public-read"}),
        "the bucket's ACL is public-read",
    ),
    "a bucket policy for everybody": (
        change(
            "aws_s3_bucket_policy",
            None,
            {"policy": policy({"Principal": "*", "Action": "s3:GetObject", "Resource": "*"})},
        ),
        "everybody may s3:GetObject",
    ),
    "a queue for everybody": (
        change(
            "aws_sqs_queue_policy",
            {"policy": policy()},
            {"policy": policy({"Principal": {"AWS": "*"}, "Action": ["sqs:SendMessage"], "Resource": "q"})},
        ),
        "everybody may sqs:SendMessage",
    ),
}


@pytest.mark.parametrize("name", EXPOSED)
def test_opening_something_to_the_world_is_named(name: str) -> None:
    entry, sentence = EXPOSED[name]
    assert (Danger.EXPOSURE, sentence) in found(entry)


def test_a_bucket_policy_for_everybody_under_a_condition_is_not_exposure() -> None:
    inside = policy(
        {
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}},
        }
    )
    assert found(change("aws_s3_bucket_policy", None, {"policy": inside})) == []


# --- permissions

OLD = policy({"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::a/*"]})
WIDER = {
    "a service's every action": (
        policy({"Action": ["s3:*"], "Resource": ["arn:aws:s3:::a/*"]}),
        "allows s3:* on arn:aws:s3:::a/*",
    ),
    "everything": (policy({"Action": "*", "Resource": "*"}), "allows * on *"),
    "everything but": (policy({"NotAction": "iam:*", "Resource": "*"}), "allows * on *"),
    "a family on everything": (policy({"Action": "ec2:Describe*", "Resource": "*"}), "allows ec2:Describe* on *"),
    "passing any role": (policy({"Action": "iam:PassRole", "Resource": "*"}), "allows iam:PassRole on *"),
    "the same action everywhere": (
        policy({"Action": "s3:GetObject", "Resource": "*"}),
        "s3:GetObject now reaches every resource",
    ),
}


@pytest.mark.parametrize("name", WIDER)
def test_wider_rights_are_named(name: str) -> None:
    after, sentence = WIDER[name]
    assert (Danger.PERMISSIONS, sentence) in found(change("aws_iam_role_policy", {"policy": OLD}, {"policy": after}))


def test_a_new_principal_is_named() -> None:
    before = policy({"Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}})
    after = policy(
        {"Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com", "AWS": "arn:aws:iam::999:root"}}
    )
    assert found(change("aws_iam_role", {"assume_role_policy": before}, {"assume_role_policy": after})) == [
        (Danger.PERMISSIONS, "AWS:arn:aws:iam::999:root is let in")
    ]


def test_a_condition_taken_away_is_named() -> None:
    before = policy(
        {
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceAccount": "1"}},
        }
    )
    after = policy({"Action": "sts:AssumeRole", "Principal": {"Service": "pods.eks.amazonaws.com"}})
    assert found(change("aws_iam_role", {"assume_role_policy": before}, {"assume_role_policy": after})) == [
        (Danger.PERMISSIONS, "sts:AssumeRole no longer depends on a condition")
    ]


def test_a_deny_statement_taken_away_is_named() -> None:
    denied = json.dumps({"Statement": [{"Effect": "Deny", "Action": "s3:*", "Principal": "*", "Resource": "*"}]})
    assert found(change("aws_s3_bucket_policy", {"policy": denied}, {"policy": policy()})) == [
        (Danger.PERMISSIONS, "1 deny statement taken away or changed")
    ]
    assert found(change("aws_s3_bucket_policy", {"policy": denied}, None)) != []


@pytest.mark.parametrize(
    ("kind", "after", "sentence"),
    [
        (
            "aws_iam_role_policy_attachment",
            {"policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            "AdministratorAccess is attached",
        ),
        (
            "aws_eks_access_policy_association",
            {
                "policy_arn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
                "principal_arn": "arn:x",
            },
            "arn:x becomes administrator of the cluster",
        ),
        ("aws_iam_access_key", {"user": "ci"}, "a long-lived credential is made"),
    ],
)
def test_mighty_rights_and_lasting_credentials_are_named(kind: str, after: dict[str, str], sentence: str) -> None:
    assert found(change(kind, None, after)) == [(Danger.PERMISSIONS, sentence)]


def test_a_policy_that_cannot_be_read_before_apply_is_a_risk_when_it_changes_and_listed_when_it_is_new() -> None:
    unknown = {"policy": True}
    assert found(change("aws_iam_role_policy", {"policy": OLD}, {}, unknown=unknown))[0][0] is Danger.UNREADABLE
    new = judged(change("aws_iam_role_policy", None, {}, unknown=unknown))
    assert new.risks == ()
    assert new.unread == ("aws_iam_role_policy.this",)


def test_a_policy_that_is_no_policy_is_a_risk() -> None:
    assert found(change("aws_iam_role_policy", {"policy": OLD}, {"policy": "{"}))[0][0] is Danger.UNREADABLE


# --- protection and lock

LOWERED = [
    ("aws_db_instance", {"storage_encrypted": True}, {"storage_encrypted": False}),
    ("aws_db_instance", {"deletion_protection": True}, {"deletion_protection": False}),
    ("aws_db_instance", {"backup_retention_period": 30}, {"backup_retention_period": 7}),
    ("aws_db_instance", {"skip_final_snapshot": False}, {"skip_final_snapshot": True}),
    ("aws_db_instance", {"multi_az": True}, {"multi_az": False}),
    (
        "aws_dynamodb_table",
        {"point_in_time_recovery": [{"enabled": True}]},
        {"point_in_time_recovery": [{"enabled": False}]},
    ),
    ("aws_dynamodb_table", {"deletion_protection_enabled": True}, {"deletion_protection_enabled": False}),
    ("aws_elasticache_replication_group", {"transit_encryption_enabled": True}, {"transit_encryption_enabled": False}),
    (
        "aws_elasticache_replication_group",
        {"at_rest_encryption_enabled": "true"},
        {"at_rest_encryption_enabled": "false"},
    ),
    ("aws_eks_cluster", {"enabled_cluster_log_types": ["api", "audit"]}, {"enabled_cluster_log_types": ["api"]}),
    ("aws_eks_cluster", {"encryption_config": [{"resources": ["secrets"]}]}, {"encryption_config": []}),
    ("aws_kms_key", {"enable_key_rotation": True}, {"enable_key_rotation": False}),
    ("aws_kms_key", {"deletion_window_in_days": 30}, {"deletion_window_in_days": 7}),
    ("aws_s3_bucket", {"force_destroy": False}, {"force_destroy": True}),
    (
        "aws_s3_bucket_versioning",
        {"versioning_configuration": [{"status": "Enabled"}]},
        {"versioning_configuration": [{"status": "Suspended"}]},
    ),
    (
        "aws_s3_bucket_server_side_encryption_configuration",
        {"rule": [{"apply_server_side_encryption_by_default": [{"kms_master_key_id": "k"}]}]},
        {"rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": "AES256"}]}]},
    ),
    ("aws_s3_bucket_server_side_encryption_configuration", {"rule": []}, None),
    ("aws_ecr_repository", {"image_tag_mutability": "IMMUTABLE"}, {"image_tag_mutability": "MUTABLE"}),
    ("aws_cloudwatch_log_group", {"retention_in_days": 365}, {"retention_in_days": 30}),
    ("aws_cloudwatch_log_group", {"retention_in_days": 0}, {"retention_in_days": 30}),
    ("aws_cloudwatch_log_group", {"kms_key_id": "k"}, {"kms_key_id": None}),
    ("aws_sqs_queue", {"kms_master_key_id": "k"}, {"kms_master_key_id": ""}),
    ("aws_secretsmanager_secret", {"recovery_window_in_days": 30}, {"recovery_window_in_days": 0}),
    ("aws_db_parameter_group", {"parameter": [{"name": "rds.force_ssl", "value": "1"}]}, {"parameter": []}),
    ("aws_flow_log", {"traffic_type": "ALL"}, None),
]


@pytest.mark.parametrize(("kind", "before", "after"), LOWERED, ids=lambda value: json.dumps(value)[:60])
def test_lowering_a_protection_is_named_and_raising_it_is_quiet(kind: str, before: Any, after: Any) -> None:
    assert [danger for danger, _ in found(change(kind, before, after))] == [Danger.PROTECTION]
    if after is not None:
        assert found(change(kind, after, before)) == []


@pytest.mark.parametrize("kind", ["aws_db_instance", "aws_ebs_volume"])
def test_a_new_unencrypted_store_is_named(kind: str) -> None:
    name = "encrypted" if kind == "aws_ebs_volume" else "storage_encrypted"
    assert [danger for danger, _ in found(change(kind, None, {name: False}))] == [Danger.PROTECTION]


def test_a_key_that_signs_is_not_rotated_and_one_that_encrypts_must_be() -> None:
    signs = {"enable_key_rotation": False, "key_usage": "SIGN_VERIFY"}
    assert found(change("aws_kms_key", None, signs)) == []
    encrypts = signs | {"key_usage": "ENCRYPT_DECRYPT"}
    assert [danger for danger, _ in found(change("aws_kms_key", None, encrypts))] == [Danger.PROTECTION]


LOCK = "aws_s3_bucket_object_lock_configuration"


def retention(mode: str, **kept: int) -> dict[str, Any]:
    return {"rule": [{"default_retention": [{"mode": mode, **kept}]}]}


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (LOCK, retention("COMPLIANCE", days=2557), retention("GOVERNANCE", days=2557)),
        (LOCK, retention("COMPLIANCE", years=7), retention("COMPLIANCE", days=365)),
        (LOCK, retention("GOVERNANCE", days=30), None),
        ("aws_s3_bucket", {"object_lock_enabled": True}, {"object_lock_enabled": False}),
    ],
)
def test_a_weaker_object_lock_is_named(kind: str, before: Any, after: Any) -> None:
    assert Danger.LOCK in {danger for danger, _ in found(change(kind, before, after))}


# --- quiet plans

QUIET = [
    change("aws_db_instance", {"a": 1}, {"a": 1}, actions=["no-op"]),
    change(
        "aws_db_instance", {"tags": {}, "storage_encrypted": True}, {"tags": {"team": "x"}, "storage_encrypted": True}
    ),
    change("aws_eks_node_group", {"scaling_config": [{"desired_size": 2}]}, {"scaling_config": [{"desired_size": 3}]}),
    change("aws_db_instance", {"instance_class": "db.r5.large"}, {"instance_class": "db.r5.xlarge"}),
    change("aws_db_instance", {"allocated_storage": 20}, {"allocated_storage": 40}),
    change(
        "aws_vpc_security_group_ingress_rule",
        None,
        {"cidr_ipv4": "10.0.0.0/16", "ip_protocol": "tcp", "from_port": 5432, "to_port": 5432},
    ),
    change(
        "aws_vpc_security_group_egress_rule",
        None,
        {"cidr_ipv4": "0.0.0.0/0", "ip_protocol": "tcp", "from_port": 443, "to_port": 443},
    ),
    change(
        "aws_security_group",
        {"ingress": [{"cidr_blocks": ["0.0.0.0/0"], "protocol": "tcp", "from_port": 443, "to_port": 443}]},
        {"ingress": [{"cidr_blocks": ["0.0.0.0/0"], "protocol": "tcp", "from_port": 443, "to_port": 443}], "tags": {}},
    ),
    change(
        "aws_iam_role_policy",
        {"policy": OLD},
        {"policy": policy({"Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::a/b/*"]})},
    ),
    change(
        "aws_iam_role",
        None,
        {"assume_role_policy": policy({"Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}})},
    ),
    change(
        "aws_kms_key",
        None,
        {
            "enable_key_rotation": True,
            "policy": policy({"Action": "kms:*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::1:root"}}),
        },
    ),
    change("aws_cloudwatch_log_group", {"kms_key_id": "k"}, {}, unknown={"kms_key_id": True}),
    change("aws_db_parameter_group", {"parameter": []}, None),
    change(LOCK, retention("GOVERNANCE", days=30), retention("COMPLIANCE", days=60)),
    change("aws_db_instance", {"backup_retention_period": 7}, {"backup_retention_period": 30}),
]


@pytest.mark.parametrize(
    "entry", QUIET, ids=lambda entry: f"{entry['type']} {json.dumps(entry['change']['after'])[:50]}"
)
def test_a_harmless_change_is_quiet(entry: dict[str, Any]) -> None:
    assert found(entry) == []


def test_a_whole_quiet_plan_passes_and_a_risky_one_stops_the_pipeline(
    mlops: Callable[..., Ran], tmp_path: Path
) -> None:
    quiet, risky = tmp_path / "quiet.json", tmp_path / "risky.json"
    quiet.write_text(json.dumps(document(*QUIET)))
    risky.write_text(json.dumps(document(*QUIET, change("aws_s3_bucket", {"bucket": "audit"}, None))))
    assert mlops("infrastructure", "plan-risks", str(quiet), "--fail-on-risk").code == 0
    assert mlops("infrastructure", "plan-risks", str(risky)).code == 0
    stopped = mlops("infrastructure", "plan-risks", str(risky), "--fail-on-risk", "--json")
    assert stopped.code == 1
    assert stopped.json["risks"] == [
        {"danger": "data loss", "resource": "aws_s3_bucket.this", "what": "it is deleted, and with it its objects"}
    ]
