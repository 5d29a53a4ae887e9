mock_provider "aws" {
  source = "../../testing"
}

variables {
  name = "mlops-test"
  keys = {
    data   = { description = "Buckets and tables" }
    logs   = { description = "Log groups", cloudwatch_logs = true }
    events = { description = "Queues", services = ["events.amazonaws.com"] }
    signs  = { description = "Statements", signing = true }
  }
}

run "every_key_rotates_and_is_not_lost_in_a_hurry" {
  command = plan

  assert {
    condition     = alltrue([for name, key in aws_kms_key.this : (key.enable_key_rotation || name == "signs") && key.deletion_window_in_days == 30])
    error_message = "keys that encrypt rotate yearly, and all wait a month before they go"
  }
}

run "a_key_that_signs_does_nothing_else" {
  assert {
    condition     = aws_kms_key.this["signs"].key_usage == "SIGN_VERIFY" && aws_kms_key.this["signs"].customer_master_key_spec == "ECC_NIST_P256"
    error_message = "statements are signed with P-256"
  }
  assert {
    condition     = !aws_kms_key.this["signs"].enable_key_rotation
    error_message = "KMS rotates no key that signs"
  }
  assert {
    condition     = keys(output.public_keys) == ["signs"]
    error_message = "the public half of what signs is an output, and of nothing else"
  }
}

run "services_are_named_and_only_for_this_account" {
  command = plan

  assert {
    condition     = length(jsondecode(aws_kms_key.this["data"].policy).Statement) == 1
    error_message = "a key for no service names the account only"
  }
  assert {
    condition     = jsondecode(aws_kms_key.this["events"].policy).Statement[1].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "a service uses a key for this account only"
  }
  assert {
    condition     = jsondecode(aws_kms_key.this["logs"].policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] == "arn:aws:logs:us-east-1:123456789012:log-group:*"
    error_message = "CloudWatch uses a key for this account's log groups only"
  }
}

run "no_policy_names_everybody" {
  command = plan

  assert {
    condition     = alltrue(flatten([for key in aws_kms_key.this : [for statement in jsondecode(key.policy).Statement : statement.Principal != "*" && try(statement.Principal.AWS, "") != "*"]]))
    error_message = "no statement has a wildcard principal"
  }
}

run "no_keys_at_all_is_refused" {
  command = plan
  variables {
    keys = {}
  }
  expect_failures = [var.keys]
}

run "a_key_that_vanishes_tomorrow_is_refused" {
  command = plan
  variables {
    deletion_window_in_days = 1
  }
  expect_failures = [var.deletion_window_in_days]
}
