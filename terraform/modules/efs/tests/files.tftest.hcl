mock_provider "aws" {
  source = "../../testing"
}

variables {
  name                   = "mlops-test"
  vpc_id                 = "vpc-1"
  subnet_ids             = ["subnet-a", "subnet-b", "subnet-c"]
  client_security_groups = { nodes = "sg-nodes" }
  kms_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/data"
}

run "files_are_encrypted_backed_up_and_mounted_from_every_zone" {
  command = plan

  assert {
    condition     = aws_efs_file_system.this.encrypted && aws_efs_file_system.this.kms_key_id == var.kms_key_arn
    error_message = "files are encrypted with our key"
  }
  assert {
    condition     = aws_efs_backup_policy.this[0].backup_policy[0].status == "ENABLED"
    error_message = "files are backed up"
  }
  assert {
    condition     = toset(aws_efs_mount_target.this[*].subnet_id) == toset(var.subnet_ids)
    error_message = "one mount target per zone"
  }
}

run "only_nodes_reach_the_files" {
  command = plan

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.this) == 1 && aws_vpc_security_group_ingress_rule.this["nodes"].referenced_security_group_id == "sg-nodes" && aws_vpc_security_group_ingress_rule.this["nodes"].from_port == 2049
    error_message = "NFS from the nodes and from nobody else"
  }
}

run "files_without_a_key_are_refused" {
  command = plan
  variables {
    kms_key_arn = ""
  }
  expect_failures = [var.kms_key_arn]
}

run "one_zone_is_refused" {
  command = plan
  variables {
    subnet_ids = ["subnet-a"]
  }
  expect_failures = [var.subnet_ids]
}
