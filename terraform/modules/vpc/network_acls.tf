# The second fence, stateless and per tier: what a wrong security group would let in still meets these.

locals {
  private_list = values(local.private_cidrs)

  # databases and caches, reached from nodes and pods and from nowhere else
  database_ports = { postgresql = 5432, redis = 6379 }
  database_pairs = {
    for pair in setproduct(keys(local.database_ports), var.availability_zones) : join("-", pair) => {
      port = local.database_ports[pair[0]]
      cidr = local.private_cidrs[pair[1]]
      rule = 100 + 10 * index(keys(local.database_ports), pair[0]) + index(var.availability_zones, pair[1])
    }
  }
}

resource "aws_network_acl" "public" {
  #checkov:skip=CKV_AWS_231:Replies come back to any high port, 3389 among them; nothing listens there and security groups allow no such connection
  vpc_id     = aws_vpc.this.id
  subnet_ids = [for subnet in aws_subnet.public : subnet.id]
  tags       = merge(var.tags, { Name = "${var.name}-public" })

  # people reach load balancers by HTTPS (and HTTP, to be redirected); replies to NAT traffic come back to high ports
  dynamic "ingress" {
    for_each = { 100 = [80, 80], 110 = [443, 443], 120 = [1024, 65535] }
    content {
      rule_no    = ingress.key
      action     = "allow"
      protocol   = "tcp"
      cidr_block = "0.0.0.0/0"
      from_port  = ingress.value[0]
      to_port    = ingress.value[1]
    }
  }
  dynamic "ingress" {
    for_each = { 130 = "udp" }
    content {
      rule_no    = ingress.key
      action     = "allow"
      protocol   = ingress.value
      cidr_block = "0.0.0.0/0"
      from_port  = 1024
      to_port    = 65535
    }
  }
  # nodes go out through the NAT gateways here, and answer load balancers; databases have no business here
  dynamic "ingress" {
    for_each = { for zone, index in local.zones : 140 + index => local.private_cidrs[zone] }
    content {
      rule_no    = ingress.key
      action     = "allow"
      protocol   = "-1"
      cidr_block = ingress.value
      from_port  = 0
      to_port    = 0
    }
  }
  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    cidr_block = "0.0.0.0/0"
    from_port  = 0
    to_port    = 0
  }
}

resource "aws_network_acl" "private" {
  #checkov:skip=CKV_AWS_231:Replies come back to any high port, 3389 among them; nothing listens there and security groups allow no such connection
  vpc_id     = aws_vpc.this.id
  subnet_ids = [for subnet in aws_subnet.private : subnet.id]
  tags       = merge(var.tags, { Name = "${var.name}-private" })

  # between nodes, and from load balancers; the database tier may only reply (below)
  dynamic "ingress" {
    for_each = merge(
      { for zone, index in local.zones : 100 + index => local.private_cidrs[zone] },
      { for zone, index in local.zones : 110 + index => local.public_cidrs[zone] },
    )
    content {
      rule_no    = ingress.key
      action     = "allow"
      protocol   = "-1"
      cidr_block = ingress.value
      from_port  = 0
      to_port    = 0
    }
  }
  # replies, from databases and from outside; nobody outside can open a connection, for there is no route in
  dynamic "ingress" {
    for_each = { 120 = "tcp" }
    content {
      rule_no    = ingress.key
      action     = "allow"
      protocol   = ingress.value
      cidr_block = "0.0.0.0/0"
      from_port  = 1024
      to_port    = 65535
    }
  }
  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "-1"
    cidr_block = var.vpc_cidr
    from_port  = 0
    to_port    = 0
  }
  # out of the VPC by HTTPS only
  egress {
    rule_no    = 110
    action     = "allow"
    protocol   = "tcp"
    cidr_block = "0.0.0.0/0"
    from_port  = 443
    to_port    = 443
  }
}

resource "aws_network_acl" "database" {
  vpc_id     = aws_vpc.this.id
  subnet_ids = [for subnet in aws_subnet.database : subnet.id]
  tags       = merge(var.tags, { Name = "${var.name}-database" })

  dynamic "ingress" {
    for_each = local.database_pairs
    content {
      rule_no    = ingress.value.rule
      action     = "allow"
      protocol   = "tcp"
      cidr_block = ingress.value.cidr
      from_port  = ingress.value.port
      to_port    = ingress.value.port
    }
  }
  # replicas talk to each other across zones
  dynamic "ingress" {
    for_each = { for zone, index in local.zones : 200 + index => local.database_cidrs[zone] }
    content {
      rule_no    = ingress.key
      action     = "allow"
      protocol   = "tcp"
      cidr_block = ingress.value
      from_port  = 1024
      to_port    = 65535
    }
  }
  dynamic "egress" {
    for_each = merge(
      { for zone, index in local.zones : 100 + index => local.private_cidrs[zone] },
      { for zone, index in local.zones : 200 + index => local.database_cidrs[zone] },
    )
    content {
      rule_no    = egress.key
      action     = "allow"
      protocol   = "tcp"
      cidr_block = egress.value
      from_port  = 1024
      to_port    = 65535
    }
  }
}
