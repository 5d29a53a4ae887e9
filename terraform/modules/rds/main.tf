# PostgreSQL for the platform, MLflow and Feast's registry: encrypted, TLS only, with a password nobody has ever seen.

locals {
  family = "postgres${split(".", var.engine_version)[0]}"

  alarms = {
    cpu         = { metric = "CPUUtilization", statistic = "Average", comparison = "GreaterThanThreshold", threshold = 80, unit = "percent" }
    storage     = { metric = "FreeStorageSpace", statistic = "Minimum", comparison = "LessThanThreshold", threshold = floor(var.allocated_storage * 0.15 * 1073741824), unit = "bytes" }
    connections = { metric = "DatabaseConnections", statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = var.connections_alarm, unit = "connections" }
    memory      = { metric = "FreeableMemory", statistic = "Minimum", comparison = "LessThanThreshold", threshold = 268435456, unit = "bytes" }
  }
}

resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "Database subnets of ${var.name}"
  subnet_ids  = var.subnet_ids
  tags        = var.tags
}

resource "aws_security_group" "this" {
  name        = "${var.name}-postgresql"
  description = "PostgreSQL from the nodes and nowhere else"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-postgresql" })
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.client_security_groups

  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  tags                         = var.tags
}

resource "aws_db_parameter_group" "this" {
  name        = "${var.name}-${local.family}"
  family      = local.family
  description = "TLS for every connection; statements and connections are logged"
  tags        = var.tags

  dynamic "parameter" {
    for_each = {
      "rds.force_ssl"                       = "1"
      "ssl_min_protocol_version"            = "TLSv1.2"
      "log_connections"                     = "1"
      "log_disconnections"                  = "1"
      "log_statement"                       = "ddl"
      "log_min_duration_statement"          = "500"
      "idle_in_transaction_session_timeout" = "60000"
    }
    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "monitoring" {
  name = "${var.name}-rds-monitoring"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "monitoring.rds.amazonaws.com" } }]
  })
  tags = var.tags
}

data "aws_partition" "current" {}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

# RDS writes into groups of these names; made here, they are encrypted and end
resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:Kept a year unless an environment says otherwise; development says 30 days
  for_each = toset(["postgresql", "upgrade"])

  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV2_AWS_69:rds.force_ssl is set in a dynamic block the scanner does not read; tests/database.tftest.hcl asserts it
  #checkov:skip=CKV_AWS_157:Multi-AZ is a switch: production turns it on, a thrown-away environment does not pay twice
  #checkov:skip=CKV_AWS_293:Deletion protection is a switch, on unless an environment says otherwise
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  db_name        = "mlops"
  username       = "mlops_admin"

  # RDS makes and rotates it in Secrets Manager; it is in no state file and in no plan
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  allocated_storage     = var.allocated_storage
  max_allocated_storage = var.max_allocated_storage
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  iam_database_authentication_enabled = true

  backup_retention_period   = var.backup_retention_days
  backup_window             = "03:00-04:00"
  maintenance_window        = "sun:08:00-sun:09:00"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = var.deletion_protection ? "${var.name}-final" : null

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn

  tags = merge(var.tags, { Name = var.name })

  depends_on = [aws_cloudwatch_log_group.this]

  lifecycle {
    precondition {
      condition     = var.backup_retention_days >= 7 || !var.deletion_protection
      error_message = "A database that is protected from deletion keeps at least 7 days of backups: set backup_retention_days to 7 or more (30 in production)."
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "${each.value.metric} of ${var.name} is past ${each.value.threshold} ${each.value.unit}"
  namespace           = "AWS/RDS"
  metric_name         = each.value.metric
  dimensions          = { DBInstanceIdentifier = aws_db_instance.this.identifier }
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 3
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
  tags                = var.tags
}
