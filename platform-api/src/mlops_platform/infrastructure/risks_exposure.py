"""Can the world reach what it could not reach before? Pure."""

from collections.abc import Iterator
from typing import Any

from mlops_platform.infrastructure.dangers import Danger, Risk
from mlops_platform.infrastructure.plan import Change
from mlops_platform.infrastructure.policies import POLICY_FIELDS, BadPolicy, grants
from mlops_platform.infrastructure.values import field

WORLD = frozenset({"0.0.0.0/0", "::/0"})
_BLOCKS = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
_PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})


def of(change: Change) -> Iterator[Risk]:
    """Yield every way in that a change opens to everybody."""
    if change.deletes and change.type == "aws_s3_bucket_public_access_block":
        yield _risk(change, "it is deleted: the bucket may be made public")
    if change.deletes or change.forgets:
        return
    for port in sorted(_open(change.type, change.after) - _open(change.type, change.before)):
        yield _risk(change, f"the world may reach {port}")
    yield from _endpoints(change)
    yield from _buckets(change)
    yield from _policies(change)


def _open(kind: str, values: Any) -> set[str]:
    """Return what everybody may reach by the rules of a security group."""
    match kind:
        case "aws_security_group" | "aws_default_security_group":
            rules = values.get("ingress") or []
        case "aws_security_group_rule" if values.get("type") == "ingress":
            rules = [values]
        case "aws_vpc_security_group_ingress_rule":
            rules = [values]
        case _:
            return set()
    return {_ports(rule) for rule in rules if _sources(rule) & WORLD}


def _sources(rule: Any) -> set[str]:
    blocks = [*(rule.get("cidr_blocks") or ()), *(rule.get("ipv6_cidr_blocks") or ())]
    return {str(block) for block in (*blocks, rule.get("cidr_ipv4"), rule.get("cidr_ipv6")) if block}


def _ports(rule: Any) -> str:
    protocol = str(rule.get("protocol") or rule.get("ip_protocol") or "-1")
    if protocol == "-1":
        return "every port"
    first, last = rule.get("from_port"), rule.get("to_port")
    return f"{protocol} port {first}" if first == last else f"{protocol} ports {first}-{last}"


# a value that means open to the world, by type
_SWITCHES: tuple[tuple[str, str, Any, str], ...] = (
    ("aws_db_instance", "publicly_accessible", True, "the database gets a public address"),
    ("aws_rds_cluster_instance", "publicly_accessible", True, "the database gets a public address"),
    ("aws_redshift_cluster", "publicly_accessible", True, "the warehouse gets a public address"),
    ("aws_lb", "internal", False, "the load balancer faces the internet"),
    ("aws_subnet", "map_public_ip_on_launch", True, "everything started in the subnet gets a public address"),
    ("aws_lambda_function_url", "authorization_type", "NONE", "the function answers to everybody"),
)


def _endpoints(change: Change) -> Iterator[Risk]:
    before, after = change.before, change.after
    for kind, name, value, sentence in _SWITCHES:
        if change.type == kind and after.get(name) == value and before.get(name) != value:
            yield _risk(change, sentence)
    if change.type == "aws_eks_cluster":
        old, new = (_api_server(values) for values in (before, after))
        if new - old:
            yield _risk(change, f"the Kubernetes API answers to {', '.join(sorted(new - old))}")


def _api_server(values: Any) -> set[str]:
    network = field(values, "vpc_config.0") or {}
    if network.get("endpoint_public_access") is not True:
        return set()
    # AWS opens to the world when no range is given
    return {str(block) for block in network.get("public_access_cidrs") or ("0.0.0.0/0",)}


def _buckets(change: Change) -> Iterator[Risk]:
    before, after = change.before, change.after
    if change.type == "aws_s3_bucket_public_access_block":
        off = [name for name in _BLOCKS if after.get(name) is not True and (before.get(name) is True or change.creates)]
        if off:
            yield _risk(change, f"the bucket may be made public ({', '.join(off)} off)")
    if (
        change.type in {"aws_s3_bucket_acl", "aws_s3_bucket"}
        and after.get("acl") in _PUBLIC_ACLS
        and before.get("acl") != after.get("acl")
    ):
        yield _risk(change, f"the bucket's ACL is {after.get('acl')}")


def _policies(change: Change) -> Iterator[Risk]:
    """Everybody named without a condition. What cannot be read is the business of risks_permissions."""
    # whom a role trusts is judged as any other principal; an endpoint's policy speaks of callers inside the VPC
    for name in () if change.type == "aws_vpc_endpoint" else POLICY_FIELDS.get(change.type, ()):
        try:
            added = grants(change.after.get(name)) - grants(change.before.get(name))
        except BadPolicy:
            return
        actions = sorted({grant.action for grant in added if grant.principal == "*" and grant.condition == "{}"})
        if actions:
            yield _risk(change, f"everybody may {', '.join(actions)}")


def _risk(change: Change, sentence: str) -> Risk:
    return Risk(Danger.EXPOSURE, change.address, sentence)
