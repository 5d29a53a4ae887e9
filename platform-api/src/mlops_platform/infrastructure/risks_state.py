"""Is something that cannot be made again lost, or less well kept? Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mlops_platform.infrastructure.dangers import Danger, Risk
from mlops_platform.infrastructure.plan import Change
from mlops_platform.infrastructure.values import field, whole

# what is lost with each of them
STATEFUL = {
    "aws_cloudwatch_log_group": "its logs",
    "aws_db_instance": "its databases",
    "aws_dynamodb_table": "its items",
    "aws_ebs_volume": "its data",
    "aws_ecr_repository": "its images",
    "aws_efs_file_system": "its files",
    "aws_eks_cluster": "every workload and what the cluster knows of them",
    "aws_elasticache_replication_group": "the online features, until they are materialised again",
    "aws_kms_key": "everything encrypted with it",
    "aws_rds_cluster": "its databases",
    "aws_route53_zone": "its records and its delegation",
    "aws_s3_bucket": "its objects",
    "aws_secretsmanager_secret": "the secret",
}
# deleting these takes a protection away from something that stays
SHIELDS = {
    "aws_backup_plan": "backups stop",
    "aws_flow_log": "network traffic is not recorded any more",
    "aws_s3_bucket_lifecycle_configuration": "objects are kept for ever at the first price",
    "aws_s3_bucket_server_side_encryption_configuration": "new objects are no longer encrypted with the platform's key",
    "aws_s3_bucket_versioning": "overwritten objects are gone",
}


@dataclass(frozen=True)
class Rule:
    """A value that must not get worse: never become True, or False, fall, vanish, or leave the list of good values."""

    type: str
    path: str
    must: Literal["stay true", "stay false", "not fall", "stay set"]
    sentence: str
    # a new resource that starts with it wrong is a risk as well
    from_birth: bool = False
    # a resource whose attribute has this value is none the rule is about
    except_when: tuple[str, str] | None = None


RULES = (
    Rule("aws_db_instance", "storage_encrypted", "stay true", "the database is not encrypted", from_birth=True),
    Rule("aws_db_instance", "deletion_protection", "stay true", "the database may be deleted"),
    Rule("aws_db_instance", "backup_retention_period", "not fall", "fewer days of database backups"),
    Rule("aws_db_instance", "multi_az", "stay true", "the database loses its standby"),
    Rule("aws_db_instance", "skip_final_snapshot", "stay false", "deleting the database leaves no snapshot"),
    Rule("aws_db_instance", "iam_database_authentication_enabled", "stay true", "sign-in by IAM is switched off"),
    Rule("aws_rds_cluster", "storage_encrypted", "stay true", "the database is not encrypted", from_birth=True),
    Rule("aws_rds_cluster", "deletion_protection", "stay true", "the database may be deleted"),
    Rule("aws_rds_cluster", "backup_retention_period", "not fall", "fewer days of database backups"),
    Rule("aws_dynamodb_table", "deletion_protection_enabled", "stay true", "the table may be deleted"),
    Rule(
        "aws_dynamodb_table", "point_in_time_recovery.0.enabled", "stay true", "the table has no point-in-time recovery"
    ),
    Rule(
        "aws_dynamodb_table",
        "server_side_encryption.0.enabled",
        "stay true",
        "the table is not encrypted with the platform's key",
    ),
    Rule(
        "aws_elasticache_replication_group",
        "at_rest_encryption_enabled",
        "stay true",
        "the online store is not encrypted",
        from_birth=True,
    ),
    Rule(
        "aws_elasticache_replication_group",
        "transit_encryption_enabled",
        "stay true",
        "the online store speaks without TLS",
        from_birth=True,
    ),
    Rule("aws_elasticache_replication_group", "multi_az_enabled", "stay true", "the online store loses its standby"),
    Rule(
        "aws_elasticache_replication_group",
        "snapshot_retention_limit",
        "not fall",
        "fewer days of snapshots of the online store",
    ),
    Rule("aws_eks_cluster", "deletion_protection", "stay true", "the cluster may be deleted"),
    Rule("aws_eks_cluster", "encryption_config", "stay set", "secrets of the cluster are not encrypted"),
    Rule("aws_eks_cluster", "enabled_cluster_log_types", "stay set", "the control plane logs less"),
    Rule(
        "aws_kms_key",
        "enable_key_rotation",
        "stay true",
        "the key is not rotated",
        from_birth=True,
        # AWS rotates no key that signs
        except_when=("key_usage", "SIGN_VERIFY"),
    ),
    Rule("aws_kms_key", "is_enabled", "stay true", "what the key encrypts cannot be read"),
    Rule("aws_kms_key", "deletion_window_in_days", "not fall", "less time to take the key's deletion back"),
    Rule("aws_s3_bucket", "force_destroy", "stay false", "the bucket may be deleted with all its objects"),
    Rule(
        "aws_s3_bucket_server_side_encryption_configuration",
        "rule.0.apply_server_side_encryption_by_default.0.kms_master_key_id",
        "stay set",
        "objects are not encrypted with the platform's key",
    ),
    Rule("aws_ecr_repository", "force_delete", "stay false", "the repository may be deleted with all its images"),
    Rule(
        "aws_secretsmanager_secret",
        "recovery_window_in_days",
        "not fall",
        "less time to take the secret's deletion back",
    ),
    Rule("aws_cloudwatch_log_group", "retention_in_days", "not fall", "logs are kept for fewer days"),
    Rule("aws_cloudwatch_log_group", "kms_key_id", "stay set", "the logs are not encrypted with the platform's key"),
    Rule("aws_sqs_queue", "kms_master_key_id", "stay set", "the queue is not encrypted with the platform's key"),
    Rule("aws_sns_topic", "kms_master_key_id", "stay set", "the topic is not encrypted with the platform's key"),
    Rule("aws_ebs_volume", "encrypted", "stay true", "the volume is not encrypted", from_birth=True),
)


def of(change: Change) -> Iterator[Risk]:
    """Yield what a change loses, and what it protects less than before."""
    yield from _lost(change)
    yield from _lock(change)
    if change.deletes or change.forgets:
        return
    for rule in RULES:
        if rule.type == change.type and not _excepted(rule, change) and (worse := _worse(rule, change)):
            yield Risk(Danger.PROTECTION, change.address, f"{rule.sentence} ({rule.path.split('.')[-1]}: {worse})")
    yield from _words(change)


def _lost(change: Change) -> Iterator[Risk]:
    if what := STATEFUL.get(change.type):
        if change.deletes:
            yield Risk(Danger.DATA_LOSS, change.address, f"it is deleted, and with it {what}")
        elif change.replaces:
            why = f" because {', '.join(change.replaced_because)} changes" if change.replaced_because else ""
            yield Risk(Danger.DATA_LOSS, change.address, f"it is replaced{why}: {what} would be lost")
        elif change.forgets:
            yield Risk(
                Danger.DATA_LOSS, change.address, "Terraform forgets it: nobody keeps it as it should be any more"
            )
    if change.deletes and (what := SHIELDS.get(change.type)):
        yield Risk(Danger.PROTECTION, change.address, f"it is deleted: {what}")


def _excepted(rule: Rule, change: Change) -> bool:
    return rule.except_when is not None and field(change.after, rule.except_when[0]) == rule.except_when[1]


def _worse(rule: Rule, change: Change) -> str:
    """Return 'old -> new' when the value got worse, else nothing."""
    before, after = field(change.before, rule.path), field(change.after, rule.path)
    if field(change.unknown, rule.path) is True:
        return ""
    born_wrong = change.creates and rule.from_birth
    match rule.must:
        case "stay true":
            bad = not _true(after) and (_true(before) or born_wrong)
        case "stay false":
            bad = _true(after) and not change.creates and not _true(before)
        case "not fall":
            # for logs 0 is for ever, and nothing said is for ever as well
            endless = rule.path == "retention_in_days"
            bad = not change.creates and whole(after, endless) < whole(before, endless)
        case "stay set":
            names = bool(before) and _is_names(before) and _is_names(after or [])
            gone = set(before) - set(after or ()) if names else before and not after
            bad = not change.creates and bool(gone)
    return f"{before} -> {after}" if bad else ""


def _words(change: Change) -> Iterator[Risk]:
    """Settings that are words."""
    if change.type == "aws_s3_bucket_versioning":
        before = field(change.before, "versioning_configuration.0.status")
        after = field(change.after, "versioning_configuration.0.status")
        if before == "Enabled" and after != "Enabled":
            yield Risk(Danger.PROTECTION, change.address, f"overwritten objects are gone (status: {before} -> {after})")
    if change.type == "aws_ecr_repository" and change.before.get("image_tag_mutability") == "IMMUTABLE":
        after = change.after.get("image_tag_mutability")
        if after != "IMMUTABLE":
            yield Risk(
                Danger.PROTECTION,
                change.address,
                f"a pushed tag may be moved to other bytes (image_tag_mutability: IMMUTABLE -> {after})",
            )
    if change.type == "aws_db_parameter_group":
        before, after = _parameters(change.before), _parameters(change.after)
        if before.get("rds.force_ssl") == "1" and after.get("rds.force_ssl") != "1":
            yield Risk(
                Danger.PROTECTION, change.address, "the database accepts connections without TLS (rds.force_ssl)"
            )


def _parameters(values: Any) -> dict[str, str]:
    return {entry["name"]: str(entry["value"]) for entry in values.get("parameter") or ()}


def _lock(change: Change) -> Iterator[Risk]:
    """Object Lock: gone, from COMPLIANCE to GOVERNANCE, or for a shorter time."""
    if change.type == "aws_s3_bucket" and _true(change.before.get("object_lock_enabled")) and not change.deletes:
        if not _true(change.after.get("object_lock_enabled")):
            yield Risk(Danger.LOCK, change.address, "the bucket has no Object Lock any more")
        return
    if change.type != "aws_s3_bucket_object_lock_configuration" or change.creates:
        return
    if change.deletes or change.forgets:
        yield Risk(Danger.LOCK, change.address, "the default retention is deleted: new objects may be deleted at once")
        return
    path = "rule.0.default_retention.0"
    before, after = field(change.before, f"{path}.mode"), field(change.after, f"{path}.mode")
    if before == "COMPLIANCE" and after != "COMPLIANCE":
        yield Risk(
            Danger.LOCK, change.address, f"whoever has the right may delete locked objects (mode: {before} -> {after})"
        )
    old, new = (_days(field(values, path)) for values in (change.before, change.after))
    if new < old:
        yield Risk(Danger.LOCK, change.address, f"objects are locked for {new} days instead of {old}")


def _days(retention: Any) -> int:
    kept = retention or {}
    return whole(kept.get("days")) or whole(kept.get("years")) * 365


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _true(value: Any) -> bool:
    return value is True or value == "true"
