"""What machines, clusters and databases cost. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from mlops_platform.costs.lines import Context, Kind, Line
from mlops_platform.costs.prices import NoPrice
from mlops_platform.infrastructure.plan import Resource

ONE = Decimal(1)
# a managed group's own disk when no launch template says otherwise
_DEFAULT_DISK_GB = 20


def cluster(resource: Resource, context: Context) -> Iterator[Line]:
    """The control plane; six times as dear once its Kubernetes version is out of standard support."""
    version = str(resource.values.get("version") or "")
    ends = context.prices.eks_support_ends(version)
    if ends is not None and context.on > ends:
        text = f"control plane {version}, in extended support since {ends.isoformat()}"
        price = context.prices.of("eks", "extended_support_hour")
    else:
        text = f"control plane {version}" + ("" if ends else " (support dates unknown: standard price)")
        price = context.prices.of("eks", "cluster_hour")
    yield context.hourly("EKS", resource.address, text, price)


def node_group(resource: Resource, context: Context) -> Iterator[Line]:
    """Nodes at the desired size, their volumes and their detailed monitoring."""
    scaling = (resource.values.get("scaling_config") or [{}])[0]
    count = int(scaling.get("desired_size") or 0)
    types = resource.values.get("instance_types") or []
    spot = resource.values.get("capacity_type") == "SPOT"
    if not types:
        raise NoPrice("it names no instance types")
    if spot:
        # AWS chooses among the types; the dearest is what it costs at worst
        kind = max(types, key=lambda name: context.prices.of("ec2", "spot_hour", name))
        price = context.prices.of("ec2", "spot_hour", kind)
    else:
        kind = types[0]
        price = context.prices.of("ec2", "on_demand_hour", kind)
    text = f"{count} x {kind}{' spot' if spot else ''}"
    yield context.hourly("EC2", resource.address, text, price, count=count, kind=Kind.SPOT if spot else Kind.ON_DEMAND)
    disk, monitored = _template(resource, context)
    yield context.line(
        "EBS",
        resource.address,
        f"{count} root volumes of {disk} GB",
        Kind.FIXED,
        Decimal(count * disk),
        "GB-months",
        context.prices.of("ebs", "gp3_gb_month"),
    )
    if monitored:
        yield context.line(
            "CloudWatch",
            resource.address,
            f"detailed monitoring of {count} nodes",
            Kind.FIXED,
            Decimal(count),
            "instance-months",
            context.prices.of("ec2", "detailed_monitoring_instance_month"),
        )


def _template(group: Resource, context: Context) -> tuple[int, bool]:
    """Return disk size and monitoring of the launch template with the group's key in the group's module."""
    for template in context.plan.of("aws_launch_template"):
        if template.module == group.module and template.key == group.key:
            mappings = template.values.get("block_device_mappings") or [{}]
            volume = (mappings[0].get("ebs") or [{}])[0]
            monitoring = (template.values.get("monitoring") or [{}])[0]
            return int(volume.get("volume_size") or _DEFAULT_DISK_GB), bool(monitoring.get("enabled"))
    return int(group.values.get("disk_size") or _DEFAULT_DISK_GB), False


def database(resource: Resource, context: Context) -> Iterator[Line]:
    """Instances (two with a standby), storage, and backups beyond the free size."""
    copies = 2 if resource.values.get("multi_az") else 1
    kind = str(resource.values.get("instance_class"))
    if resource.values.get("engine") != "postgres" or resource.values.get("storage_type") not in (None, "gp3"):
        raise NoPrice("only PostgreSQL on gp3 is in the price table")
    text = f"{copies} x {kind}" + (" (with standby)" if copies > 1 else "")
    price = context.prices.of("rds", "instance_hour", kind)
    yield context.hourly("RDS", resource.address, text, price, count=copies, kind=Kind.ON_DEMAND)
    size = Decimal(str(resource.values.get("allocated_storage") or 0))
    yield context.line(
        "RDS",
        resource.address,
        f"{copies} x {size} GB gp3",
        Kind.FIXED,
        size * copies,
        "GB-months",
        context.prices.of("rds", "gp3_gb_month"),
    )
    backups = context.usage.of("database_backup_gb_beyond_size")
    yield context.used(
        "RDS",
        resource.address,
        "backups beyond the database's size",
        backups,
        "GB-months",
        context.prices.of("rds", "backup_gb_month"),
    )
    if resource.values.get("manage_master_user_password"):
        yield context.line(
            "Secrets Manager",
            resource.address,
            "the master password RDS manages",
            Kind.FIXED,
            ONE,
            "secrets",
            context.prices.of("secretsmanager", "secret_month"),
        )


def cache(resource: Resource, context: Context) -> Iterator[Line]:
    """Nodes of a replication group."""
    values = resource.values
    shards = int(values.get("num_node_groups") or 1)
    count = int(values.get("num_cache_clusters") or shards * (1 + int(values.get("replicas_per_node_group") or 0)))
    kind = str(values.get("node_type"))
    price = context.prices.of("elasticache", "node_hour", kind)
    if values.get("engine") == "valkey":
        price *= context.prices.of("elasticache", "valkey_share")
    text = f"{count} x {kind} ({values.get('engine')})"
    yield context.hourly("ElastiCache", resource.address, text, price, count=count, kind=Kind.ON_DEMAND)


RULES = {
    "aws_eks_cluster": cluster,
    "aws_eks_node_group": node_group,
    "aws_db_instance": database,
    "aws_elasticache_replication_group": cache,
}
