# One network of three tiers over the given zones. Public subnets hold load balancers and NAT gateways only; nodes and
# endpoints are in private subnets; databases are in subnets without any route out.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  zones  = { for index, zone in var.availability_zones : zone => index }
  prefix = tonumber(split("/", var.vpc_cidr)[1])

  # the address space in eighths: one per zone for nodes and pods (which take an address each), one for all public and
  # one for all database subnets. For a /16 that is /19, /22 and /22.
  private_cidrs  = { for zone, index in local.zones : zone => cidrsubnet(var.vpc_cidr, 3, index) }
  public_cidrs   = { for zone, index in local.zones : zone => cidrsubnet(cidrsubnet(var.vpc_cidr, 3, 6), 3, index) }
  database_cidrs = { for zone, index in local.zones : zone => cidrsubnet(cidrsubnet(var.vpc_cidr, 3, 7), 3, index) }

  # two ranges overlap when they are the same network at the shorter of their prefixes
  overlapping = [
    for other in var.reserved_cidrs : other
    if cidrhost("${cidrhost(var.vpc_cidr, 0)}/${min(local.prefix, tonumber(split("/", other)[1]))}", 0)
    == cidrhost("${cidrhost(other, 0)}/${min(local.prefix, tonumber(split("/", other)[1]))}", 0)
  ]

  nat_zones = var.single_nat_gateway ? slice(var.availability_zones, 0, 1) : var.availability_zones

  interface_endpoints = toset(var.interface_endpoints)
}

resource "aws_vpc" "this" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(var.tags, { Name = var.name })

  lifecycle {
    precondition {
      condition     = length(local.overlapping) == 0
      error_message = "vpc_cidr ${var.vpc_cidr} overlaps ${join(", ", local.overlapping)}, which reserved_cidrs says is taken (another environment, the office, or the cluster's service range). Choose a free range, or traffic between the two can never be routed."
    }
    precondition {
      condition     = alltrue([for zone in var.availability_zones : startswith(zone, data.aws_region.current.name)])
      error_message = "availability_zones ${join(", ", var.availability_zones)} are not all in ${data.aws_region.current.name}, the provider's region. Change the zones or the region."
    }
  }
}

# the group every VPC is born with: without a rule, so that nothing works by accident
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-default-closed" })
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

# --- subnets: three tiers in each zone

resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = local.public_cidrs[each.key]
  map_public_ip_on_launch = false
  tags = merge(var.tags, {
    Name                                        = "${var.name}-public-${each.key}"
    Tier                                        = "public"
    "kubernetes.io/role/elb"                    = "1"
    "kubernetes.io/cluster/${var.cluster_name}" = "shared"
  })
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = local.private_cidrs[each.key]
  tags = merge(var.tags, {
    Name                                        = "${var.name}-private-${each.key}"
    Tier                                        = "private"
    "kubernetes.io/role/internal-elb"           = "1"
    "kubernetes.io/cluster/${var.cluster_name}" = "shared"
    "karpenter.sh/discovery"                    = var.cluster_name
  })
}

resource "aws_subnet" "database" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = local.database_cidrs[each.key]
  tags              = merge(var.tags, { Name = "${var.name}-database-${each.key}", Tier = "database" })
}

# --- ways out: a NAT gateway per zone, or one for all when being cheap matters more than a lost zone

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-nat-${each.key}" })
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })

  depends_on = [aws_internet_gateway.this]
}

# --- routes: a table per tier and zone, so that one zone's change never touches another's

resource "aws_route_table" "public" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-public-${each.key}" })
}

resource "aws_route" "internet" {
  for_each = local.zones

  route_table_id         = aws_route_table.public[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = local.zones

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public[each.key].id
}

resource "aws_route_table" "private" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

resource "aws_route" "nat" {
  for_each = local.zones

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.single_nat_gateway ? var.availability_zones[0] : each.key].id
}

resource "aws_route_table_association" "private" {
  for_each = local.zones

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# no route out: a database that cannot reach the internet cannot send anything there
resource "aws_route_table" "database" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-database-${each.key}" })
}

resource "aws_route_table_association" "database" {
  for_each = local.zones

  subnet_id      = aws_subnet.database[each.key].id
  route_table_id = aws_route_table.database[each.key].id
}
