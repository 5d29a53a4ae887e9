# Valkey (Redis-compatible) for the online feature store: TLS, encrypted at rest, and signed in to by IAM: there is no
# password to leak, to rotate or to keep in a state file.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  user = "${var.name}-features"
  here = "arn:${data.aws_partition.current.partition}:elasticache:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}"
}

resource "aws_elasticache_subnet_group" "this" {
  name        = var.name
  description = "Database subnets of ${var.name}"
  subnet_ids  = var.subnet_ids
  tags        = var.tags
}

resource "aws_security_group" "this" {
  name        = "${var.name}-online-store"
  description = "Redis protocol from the nodes and nowhere else"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-online-store" })
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.client_security_groups

  security_group_id            = aws_security_group.this.id
  description                  = "Redis protocol from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
  tags                         = var.tags
}

resource "aws_cloudwatch_log_group" "slow" {
  #checkov:skip=CKV_AWS_338:Kept a year unless an environment says otherwise; development says 30 days
  name              = "/aws/elasticache/${var.name}/slow"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

# everybody who does not say who they are is this user, who may do nothing
resource "aws_elasticache_user" "nobody" {
  user_id       = "${var.name}-nobody"
  user_name     = "default"
  engine        = "valkey"
  access_string = "off ~* -@all"
  tags          = var.tags

  authentication_mode {
    type = "no-password-required"
  }
}

# reads and writes features, by scripts too (event times are compared where they lie); may not reconfigure the server or list
# everything in it
resource "aws_elasticache_user" "features" {
  user_id       = local.user
  user_name     = local.user
  engine        = "valkey"
  access_string = "on ~* +@read +@write +@connection +@transaction +eval +evalsha -@dangerous -keys"
  tags          = var.tags

  authentication_mode {
    type = "iam"
  }
}

resource "aws_elasticache_user_group" "this" {
  user_group_id = var.name
  engine        = "valkey"
  user_ids      = [aws_elasticache_user.nobody.user_id, aws_elasticache_user.features.user_id]
  tags          = var.tags
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV_AWS_31:There is no password: users sign in with IAM, and the default user is off
  #checkov:skip=CKV2_AWS_50:Failover is a switch: production runs a replica, a thrown-away environment one node
  replication_group_id = var.name
  description          = "Online features of ${var.name}"
  engine               = "valkey"
  engine_version       = var.engine_version
  node_type            = var.node_type
  port                 = 6379
  num_cache_clusters   = var.multi_az ? 2 : 1

  automatic_failover_enabled = var.multi_az
  multi_az_enabled           = var.multi_az

  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  user_group_ids             = [aws_elasticache_user_group.this.user_group_id]

  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.this.id]
  snapshot_retention_limit   = var.snapshot_retention_days
  snapshot_window            = "02:00-03:00"
  maintenance_window         = "sun:09:00-sun:10:00"
  auto_minor_version_upgrade = true

  log_delivery_configuration {
    destination      = aws_cloudwatch_log_group.slow.name
    destination_type = "cloudwatch-logs"
    log_format       = "json"
    log_type         = "slow-log"
  }

  tags = merge(var.tags, { Name = var.name })
}
