"""`environments/dev` on an emulated AWS: it applies from nothing, exists as promised, and goes without a trace.

What the emulator lacks is listed in terraform/README.md and covered by the modules' own tests.
"""

import json
from typing import Any

import pytest

from .conftest import ACCOUNT, DEV, REGION, Applied

pytestmark = [
    pytest.mark.whole("applies and destroys an environment on an emulated AWS, which takes minutes"),
    pytest.mark.external("terraform"),
    pytest.mark.timeout(900),
]
NAME = "mlops-platform-dev"


# what the emulator does not give back as it was told; everything else must stay as it is
FORGOTTEN = {
    "module.eks.aws_eks_cluster.this": "its access configuration",
    "module.eks.aws_eks_node_group.this": "their update settings, and adds remote access nobody asked for",
    "module.eks.aws_iam_openid_connect_provider.cluster": "follows the cluster",
    "module.eks.aws_launch_template.this": "that a template's own tags are no settings of it",
    "module.eks.aws_vpc_security_group_ingress_rule.node_to_node": "descriptions of rules that name a group",
    "module.eks.aws_vpc_security_group_ingress_rule.node_to_control_plane": "as above",
    "module.eks.aws_vpc_security_group_ingress_rule.control_plane_to_node": "as above",
    "module.eks.aws_vpc_security_group_egress_rule.control_plane_to_node": "as above",
    "module.rds.aws_vpc_security_group_ingress_rule.this": "as above",
    "module.efs.aws_vpc_security_group_ingress_rule.this": "as above",
    "module.rds.aws_db_instance.this": "performance insights",
    "module.rds.aws_db_parameter_group.this": "parameters, when asked for those somebody set",
}


def test_a_second_plan_changes_nothing_but_what_the_emulator_forgets(dev: Applied) -> None:
    second = dev.workspace.plan(DEV, extra=dev.aws.variables)
    actions = {
        change["address"]: change["change"]["actions"]
        for change in second["resource_changes"]
        if change["mode"] == "managed"
    }
    assert len(actions) > 150
    changed = {address.split("[")[0] for address, action in actions.items() if action != ["no-op"]}
    assert changed <= set(FORGOTTEN), changed - set(FORGOTTEN)


def test_planning_takes_less_than_a_minute(dev: Applied) -> None:
    assert dev.seconds["plan"] < 60, dev.seconds


def test_the_state_is_in_the_bucket_and_unlocked(dev: Applied) -> None:
    listed = dev.aws.client("s3").list_objects_v2(Bucket=f"mlops-platform-tfstate-{ACCOUNT}")
    assert [found["Key"] for found in listed["Contents"]] == ["dev/terraform.tfstate"]


def subnets(dev: Applied) -> list[dict[str, Any]]:
    found = dev.aws.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [dev.outputs["vpc_id"]]}])
    return list(found["Subnets"])


def tags(thing: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in thing["Tags"]}


def test_nine_subnets_lie_in_three_tiers_and_three_zones(dev: Applied) -> None:
    placed = {(tags(subnet)["Tier"], subnet["AvailabilityZone"]) for subnet in subnets(dev)}
    assert placed == {(tier, f"{REGION}{zone}") for tier in ("public", "private", "database") for zone in "abc"}
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets(dev))


def test_only_public_subnets_lead_to_the_internet_gateway_and_databases_lead_nowhere(dev: Applied) -> None:
    tables = dev.aws.client("ec2").describe_route_tables(
        Filters=[{"Name": "vpc-id", "Values": [dev.outputs["vpc_id"]]}]
    )["RouteTables"]
    ways = {}
    for table in tables:
        for association in table["Associations"]:
            if "SubnetId" in association:
                ways[association["SubnetId"]] = {
                    "internet" if route.get("GatewayId", "").startswith("igw-") else "nat"
                    for route in table["Routes"]
                    if route.get("DestinationCidrBlock") == "0.0.0.0/0"
                }
    expected = {"public": {"internet"}, "private": {"nat"}, "database": set()}
    assert len(ways) == 9
    for subnet in subnets(dev):
        assert ways[subnet["SubnetId"]] == expected[tags(subnet)["Tier"]]


def test_the_database_tier_lets_in_private_subnets_only(dev: Applied) -> None:
    acls = dev.aws.client("ec2").describe_network_acls(Filters=[{"Name": "tag:Name", "Values": [f"{NAME}-database"]}])[
        "NetworkAcls"
    ]
    assert len(acls) == 1
    cidrs = {
        tier: {subnet["CidrBlock"] for subnet in subnets(dev) if tags(subnet)["Tier"] == tier}
        for tier in ("private", "database")
    }
    for entry in acls[0]["Entries"]:
        if entry["RuleAction"] == "allow":
            assert entry["CidrBlock"] in cidrs["private"] | cidrs["database"]
    ports = {
        (entry["PortRange"]["From"], entry["PortRange"]["To"])
        for entry in acls[0]["Entries"]
        if entry["RuleAction"] == "allow" and not entry["Egress"] and entry["CidrBlock"] in cidrs["private"]
    }
    assert ports == {(5432, 5432), (6379, 6379)}


def test_development_pays_for_one_nat_gateway(dev: Applied) -> None:
    gateways = dev.aws.client("ec2").describe_nat_gateways(
        Filters=[{"Name": "vpc-id", "Values": [dev.outputs["vpc_id"]]}]
    )
    assert len(gateways["NatGateways"]) == 1


def test_traffic_is_logged_into_an_encrypted_group(dev: Applied) -> None:
    [flow] = dev.aws.client("ec2").describe_flow_logs()["FlowLogs"]
    assert (flow["ResourceId"], flow["TrafficType"]) == (dev.outputs["vpc_id"], "ALL")
    groups = dev.aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/vpc/{NAME}")["logGroups"]
    assert [bool(group["kmsKeyId"]) for group in groups] == [True]


def test_every_log_group_is_encrypted_and_ends(dev: Applied) -> None:
    groups = dev.aws.client("logs").describe_log_groups()["logGroups"]
    assert len(groups) == 7
    for group in groups:
        assert group.get("kmsKeyId"), group["logGroupName"]
        assert group.get("retentionInDays") == 30, group["logGroupName"]


def test_the_cluster_is_private_logged_and_encrypts_its_secrets(dev: Applied) -> None:
    cluster = dev.aws.client("eks").describe_cluster(name=NAME)["cluster"]
    assert cluster["resourcesVpcConfig"]["endpointPrivateAccess"] is True
    assert cluster["resourcesVpcConfig"]["endpointPublicAccess"] is False
    assert cluster["encryptionConfig"][0]["resources"] == ["secrets"]
    key = cluster["encryptionConfig"][0]["provider"]["keyArn"]
    assert dev.aws.client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True
    [logging] = [entry for entry in cluster["logging"]["clusterLogging"] if entry["enabled"]]
    assert set(logging["types"]) == {"api", "audit", "authenticator", "controllerManager", "scheduler"}


def test_node_groups_are_as_the_guide_says(dev: Applied) -> None:
    eks = dev.aws.client("eks")
    groups = {
        name: eks.describe_nodegroup(clusterName=NAME, nodegroupName=name)["nodegroup"]
        for name in eks.list_nodegroups(clusterName=NAME)["nodegroups"]
    }
    assert set(groups) == {"system", "compute", "gpu"}
    assert groups["system"]["capacityType"] == "ON_DEMAND"
    assert groups["compute"]["capacityType"] == "SPOT"
    assert len(groups["compute"]["instanceTypes"]) > 1
    assert [taint["key"] for taint in groups["gpu"]["taints"]] == ["nvidia.com/gpu"]
    assert groups["gpu"]["scalingConfig"]["desiredSize"] == 0
    assert 3 <= sum(group["scalingConfig"]["desiredSize"] for group in groups.values()) <= 5


def test_nodes_demand_tokens_one_hop_away_and_encrypt_their_disks(dev: Applied) -> None:
    ec2 = dev.aws.client("ec2")
    templates = ec2.describe_launch_templates()["LaunchTemplates"]
    assert len(templates) == 3
    for template in templates:
        [version] = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"]
        data = version["LaunchTemplateData"]
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        disk = data["BlockDeviceMappings"][0]["Ebs"]
        assert (disk["Encrypted"], disk["VolumeType"]) == (True, "gp3")
        assert disk["KmsKeyId"].startswith("arn:aws:kms:")


def test_postgresql_is_encrypted_private_backed_up_and_its_password_is_amazons(dev: Applied) -> None:
    [database] = dev.aws.client("rds").describe_db_instances()["DBInstances"]
    assert database["StorageEncrypted"] is True
    assert database["PubliclyAccessible"] is False
    assert database["DBInstanceClass"] == "db.t3.medium"
    assert database["BackupRetentionPeriod"] == 7
    assert dev.kustomize_env["RDS_ENDPOINT"].startswith(NAME)


@pytest.mark.parametrize("bucket", ["artifacts", "data-lake", "prediction-log", "audit", "backups", "restore-scratch"])
def test_every_bucket_is_versioned_encrypted_closed_and_asks_for_tls(dev: Applied, bucket: str) -> None:
    s3, name = dev.aws.client("s3"), dev.outputs["bucket_names"][bucket]
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    [rule] = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"].startswith("arn:aws:kms:")
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    denied = {
        statement["Sid"]
        for statement in json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
        if statement["Effect"] == "Deny"
    }
    assert {"TlsOnly", "OurKeyOnly"} <= denied


def test_the_audit_bucket_is_locked(dev: Applied) -> None:
    lock = dev.aws.client("s3").get_object_lock_configuration(Bucket=dev.outputs["bucket_names"]["audit"])[
        "ObjectLockConfiguration"
    ]
    assert lock["ObjectLockEnabled"] == "Enabled"
    assert (lock["Rule"]["DefaultRetention"]["Mode"], lock["Rule"]["DefaultRetention"]["Days"]) == ("GOVERNANCE", 1)


def test_tables_are_encrypted_with_our_key_and_can_be_restored(dev: Applied) -> None:
    dynamodb = dev.aws.client("dynamodb")
    assert set(dynamodb.list_tables()["TableNames"]) == {f"{NAME}-audit-log"}
    for table in dynamodb.list_tables()["TableNames"]:
        described = dynamodb.describe_table(TableName=table)["Table"]
        assert described["SSEDescription"]["SSEType"] == "KMS"
        assert described["SSEDescription"]["KMSMasterKeyArn"].startswith("arn:aws:kms:")
        assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_images_never_change_under_their_tag(dev: Applied) -> None:
    repositories = dev.aws.client("ecr").describe_repositories()["repositories"]
    assert {repository["repositoryName"] for repository in repositories} == {
        f"{NAME}/{image}" for image in ("mlops-api", "mlops-worker", "model-server", "mlflow")
    }
    for repository in repositories:
        assert repository["imageTagMutability"] == "IMMUTABLE"
        assert repository["imageScanningConfiguration"]["scanOnPush"] is True
        assert repository["encryptionConfiguration"]["encryptionType"] == "KMS"


def test_generated_secrets_have_values_that_no_state_holds(dev: Applied) -> None:
    secrets = dev.aws.client("secretsmanager")
    value = secrets.get_secret_value(SecretId="mlops-platform/dev/subject-hash-key")["SecretString"]
    assert len(value) == 64
    state = (
        dev.aws.client("s3")
        .get_object(Bucket=f"mlops-platform-tfstate-{ACCOUNT}", Key="dev/terraform.tfstate")["Body"]
        .read()
        .decode()
    )
    assert value not in state
    for secret in secrets.list_secrets()["SecretList"]:
        assert secret.get("KmsKeyId", "rds-managed")


def test_karpenter_hears_of_interruptions_through_an_encrypted_queue(dev: Applied) -> None:
    sqs = dev.aws.client("sqs")
    queue = sqs.get_queue_url(QueueName=dev.kustomize_env["INTERRUPTION_QUEUE"])["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["KmsMasterKeyId"].startswith("arn:aws:kms:")
    rules = dev.aws.client("events").list_rules(NamePrefix=NAME)["Rules"]
    assert len(rules) == 4
    for rule in rules:
        targets = dev.aws.client("events").list_targets_by_rule(Rule=rule["Name"])["Targets"]
        assert [target["Arn"] for target in targets] == [attributes["QueueArn"]]


def test_every_workload_has_its_own_role(dev: Applied) -> None:
    roles = {role["RoleName"] for role in dev.aws.client("iam").list_roles()["Roles"]}
    for workload in (
        "mlflow",
        "platform-api",
        "platform-worker",
        "model-serving",
        "external-secrets",
        "load-balancer-controller",
        "cloudwatch-exporter",
        "karpenter",
    ):
        assert f"{NAME}-{workload}" in roles
    for arn in (value for key, value in dev.kustomize_env.items() if key.startswith("ROLE_ARN_") and value):
        assert arn.split("/")[-1] in roles


def test_everything_is_tagged_for_its_bill(dev: Applied) -> None:
    vpc = dev.aws.client("ec2").describe_vpcs(VpcIds=[dev.outputs["vpc_id"]])["Vpcs"][0]
    assert {"project", "environment", "team", "cost-center"} <= set(tags(vpc))
    bucket = dev.aws.client("s3").get_bucket_tagging(Bucket=dev.outputs["bucket_names"]["audit"])
    assert {tag["Key"]: tag["Value"] for tag in bucket["TagSet"]}["cost-center"] == "cc-ml-platform"


# keep last: it takes away what the others look at
def test_destroy_leaves_nothing(dev: Applied) -> None:
    dev.workspace.run(DEV, "destroy", "-auto-approve", "-no-color", extra=dev.aws.variables)
    assert dev.aws.client("ec2").describe_vpcs(Filters=[{"Name": "tag:environment", "Values": ["dev"]}])["Vpcs"] == []
    assert dev.aws.client("eks").list_clusters()["clusters"] == []
    assert dev.aws.client("rds").describe_db_instances()["DBInstances"] == []
    assert dev.aws.client("dynamodb").list_tables()["TableNames"] == []
    assert [bucket["Name"] for bucket in dev.aws.client("s3").list_buckets()["Buckets"]] == [
        f"mlops-platform-tfstate-{ACCOUNT}"
    ]
    assert dev.aws.client("iam").list_roles()["Roles"] == []
    assert dev.aws.client("sqs").list_queues().get("QueueUrls", []) == []
    assert dev.aws.client("logs").describe_log_groups()["logGroups"] == []
    assert dev.aws.client("ecr").describe_repositories()["repositories"] == []
    assert dev.aws.client("secretsmanager").list_secrets()["SecretList"] == []
