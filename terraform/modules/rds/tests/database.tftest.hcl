mock_provider "aws" {
  source = "../../testing"
}

variables {
  name                   = "mlops-test"
  vpc_id                 = "vpc-0123456789abcdef0"
  subnet_ids             = ["subnet-a", "subnet-b", "subnet-c"]
  client_security_groups = { nodes = "sg-0123456789abcdef0" }
  instance_class         = "db.r5.xlarge"
  kms_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/database"
  log_kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/logs"
}

run "the_database_is_encrypted_private_and_has_a_standby" {
  command = plan

  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn && aws_db_instance.this.performance_insights_kms_key_id == var.kms_key_arn
    error_message = "storage and insights are encrypted with our key"
  }
  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection
    error_message = "private, in two zones, protected unless somebody says otherwise"
  }
}

run "nobody_knows_the_password" {
  command = plan

  assert {
    condition     = aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null && aws_db_instance.this.master_user_secret_kms_key_id == var.kms_key_arn
    error_message = "RDS makes the password and keeps it under our key"
  }
}

run "connections_without_tls_are_refused_by_the_server" {
  command = plan

  assert {
    condition     = one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "rds.force_ssl is on"
  }
  assert {
    condition     = aws_db_parameter_group.this.family == "postgres17"
    error_message = "parameters are of the engine's family"
  }
}

run "backups_reach_back_a_month" {
  command = plan

  assert {
    condition     = aws_db_instance.this.backup_retention_period == 30 && !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.copy_tags_to_snapshot
    error_message = "thirty days, and a last snapshot when it goes"
  }
}

run "only_named_groups_connect" {
  command = plan

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.this) == 1 && aws_vpc_security_group_ingress_rule.this["nodes"].from_port == 5432 && aws_vpc_security_group_ingress_rule.this["nodes"].referenced_security_group_id == "sg-0123456789abcdef0"
    error_message = "nodes connect to 5432, by group and not by address"
  }
}

run "trouble_is_told" {
  command = plan
  variables {
    alarm_topic_arns = ["arn:aws:sns:us-east-1:123456789012:alarms"]
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset(["cpu", "storage", "connections", "memory"]) && alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(["arn:aws:sns:us-east-1:123456789012:alarms"])])
    error_message = "four alarms reach the topic"
  }
}

run "a_development_database_is_cheap_and_disposable" {
  command = plan
  variables {
    instance_class        = "db.t3.medium"
    multi_az              = false
    deletion_protection   = false
    backup_retention_days = 7
  }
  assert {
    condition     = !aws_db_instance.this.multi_az && aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.storage_encrypted
    error_message = "no standby, no last snapshot, but still encrypted"
  }
}

run "an_unknown_instance_class_is_refused" {
  command = plan
  variables {
    instance_class = "db.enormous"
  }
  expect_failures = [var.instance_class]
}

run "a_database_without_a_key_is_refused" {
  command = plan
  variables {
    kms_key_arn = ""
  }
  expect_failures = [var.kms_key_arn]
}

run "turning_recovery_off_is_refused" {
  command = plan
  variables {
    backup_retention_days = 0
  }
  expect_failures = [var.backup_retention_days]
}

run "a_protected_database_keeps_a_week_of_backups" {
  command = plan
  variables {
    backup_retention_days = 1
  }
  expect_failures = [aws_db_instance.this]
}

run "an_old_postgresql_is_refused" {
  command = plan
  variables {
    engine_version = "14"
  }
  expect_failures = [var.engine_version]
}

run "less_storage_than_gp3_offers_is_refused" {
  command = plan
  variables {
    allocated_storage = 5
  }
  expect_failures = [var.allocated_storage]
}

run "one_zone_is_refused" {
  command = plan
  variables {
    subnet_ids = ["subnet-a"]
  }
  expect_failures = [var.subnet_ids]
}
