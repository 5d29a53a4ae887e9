"""Costs of the network, and of what the cluster creates in addition to Terraform. Pure."""

from collections.abc import Iterator
from decimal import Decimal

from mlops_platform.costs.lines import Context, Kind, Line
from mlops_platform.infrastructure.plan import Resource


def nat(resource: Resource, context: Context) -> Iterator[Line]:
    """The gateway, and its share of the data that goes through NAT."""
    yield context.hourly("NAT", resource.address, "gateway", context.prices.of("vpc", "nat_hour"))
    share = context.usage.of("nat_gb") / len(context.plan.of("aws_nat_gateway"))
    yield context.used("NAT", resource.address, "data through it", share, "GB", context.prices.of("vpc", "nat_gb"))


def address(resource: Resource, context: Context) -> Iterator[Line]:
    """A public IPv4 address."""
    yield context.hourly("VPC", resource.address, "public address", context.prices.of("vpc", "public_ipv4_hour"))


def endpoint(resource: Resource, context: Context) -> Iterator[Line]:
    """Interface endpoints by zone and data; gateway endpoints are free."""
    if resource.values.get("vpc_endpoint_type") == "Gateway":
        return
    # subnets are known after apply: every endpoint of this platform is in every zone
    zones = len(resource.values.get("subnet_ids") or ()) or context.plan.zones
    name = str(resource.values.get("service_name") or "").split(f"{context.plan.region}.")[-1]
    price = context.prices.of("vpc", "endpoint_zone_hour")
    yield context.hourly("VPC", resource.address, f"endpoint {name} in {zones} zones", price, count=zones)
    interfaces = [
        other for other in context.plan.of("aws_vpc_endpoint") if other.values.get("vpc_endpoint_type") != "Gateway"
    ]
    share = context.usage.of("endpoint_gb") / len(interfaces)
    yield context.used(
        "VPC", resource.address, f"data through {name}", share, "GB", context.prices.of("vpc", "endpoint_gb")
    )


def zone(resource: Resource, context: Context) -> Iterator[Line]:
    """A hosted zone."""
    yield context.line(
        "Route 53",
        resource.address,
        "hosted zone",
        Kind.FIXED,
        Decimal(1),
        "zones",
        context.prices.of("route53", "zone_month"),
    )


def transfer(resource: Resource, context: Context) -> Iterator[Line]:
    """Data out of the VPC and between its zones, assumed, at the VPC."""
    for text, used, price in (
        ("to the internet", "internet_gb", "internet_gb"),
        ("between zones, both directions", "between_zones_gb", "between_zones_gb"),
    ):
        yield context.used(
            "Data transfer", resource.address, text, context.usage.of(used), "GB", context.prices.of("transfer", price)
        )


def in_the_cluster(resource: Resource, context: Context) -> Iterator[Line]:
    """Load balancers and volumes that controllers make, and the cost exporter's questions, assumed, at the cluster."""
    balancers = int(context.usage.of("load_balancers"))
    yield context.hourly(
        "Load balancing",
        resource.address,
        f"{balancers} made in the cluster",
        context.prices.of("load_balancing", "network_hour"),
        count=balancers,
        kind=Kind.USAGE,
    )
    units = context.usage.of("load_balancer_capacity_units")
    yield context.used(
        "Load balancing",
        resource.address,
        f"{units} capacity units",
        units * context.prices.hours,
        "unit-hours",
        context.prices.of("load_balancing", "capacity_unit_hour"),
    )
    yield context.used(
        "EBS",
        resource.address,
        "volumes made in the cluster",
        context.usage.of("volumes_gb"),
        "GB-months",
        context.prices.of("ebs", "gp3_gb_month"),
    )
    yield context.used(
        "Cost Explorer",
        resource.address,
        "questions of the cost exporter",
        context.usage.of("cost_explorer_requests"),
        "requests",
        context.prices.of("costexplorer", "request"),
    )


RULES = {
    "aws_nat_gateway": nat,
    "aws_eip": address,
    "aws_vpc_endpoint": endpoint,
    "aws_route53_zone": zone,
}
# added to what another rule, or the list of free types, says of the type
ASSUMED = {"aws_vpc": transfer, "aws_eks_cluster": in_the_cluster}
