mock_provider "aws" {
  source = "../../testing"
}

variables {
  name = "mlops-test"
  keys = {
    data   = { description = "Buckets and tables" }
    logs   = { description = "Log groups", cloudwatch_logs = true }
    events = { description = "Queues", services = ["events.amazonaws.com"] }
  }
}

run "every_key_rotates_and_is_not_lost_in_a_hurry" {
  command = plan

  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.enable_key_rotation && key.deletion_window_in_days == 30])
    error_message = "keys rotate yearly and wait a month before they go"
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
