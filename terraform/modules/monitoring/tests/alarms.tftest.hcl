mock_provider "aws" {
  source = "../../testing"
}

variables {
  name               = "mlops-test"
  environment        = "dev"
  monthly_budget_usd = 600
  team_emails        = ["team@example.com"]
  lead_emails        = ["lead@example.com"]
  owner_emails       = ["vp@example.com"]
  log_kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/logs"
  events_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/events"
}

run "the_team_its_lead_and_the_owner_are_told_in_turn" {
  command = apply

  assert {
    condition     = { for notice in aws_budgets_budget.monthly[0].notification : tostring(notice.threshold) => one(notice.subscriber_email_addresses) if notice.notification_type == "ACTUAL" } == { "80" = "team@example.com", "90" = "lead@example.com", "100" = "vp@example.com" }
    error_message = "80 % the team, 90 % its lead, 100 % the owner"
  }
  assert {
    condition     = length([for notice in aws_budgets_budget.monthly[0].notification : notice if notice.notification_type == "FORECASTED"]) == 1
    error_message = "and a month that will go over is told before it does"
  }
}

run "the_budget_counts_this_environments_tag" {
  command = plan

  assert {
    condition     = one(aws_budgets_budget.monthly[0].cost_filter).values == tolist(["user:environment$dev"])
    error_message = "only what carries the environment's tag is counted"
  }
}

run "unusual_costs_are_told" {
  command = plan

  assert {
    condition     = aws_ce_anomaly_monitor.services[0].monitor_dimension == "SERVICE" && aws_ce_anomaly_subscription.services[0].frequency == "IMMEDIATE"
    error_message = "every service is watched, and told at once"
  }
  assert {
    condition     = one(aws_cloudwatch_metric_alarm.billing).threshold == 600
    error_message = "the account's bill rings at the budget"
  }
}

run "topic_and_logs_are_encrypted" {
  command = plan

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == var.events_kms_key_arn
    error_message = "the topic is encrypted with our key"
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.kms_key_id == var.log_kms_key_arn && group.retention_in_days == 365])
    error_message = "log groups are encrypted with our key and end"
  }
}

run "only_this_accounts_services_publish_by_tls" {
  command = apply

  assert {
    condition     = jsondecode(aws_sns_topic_policy.alarms.policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012" && jsondecode(aws_sns_topic_policy.alarms.policy).Statement[1].Effect == "Deny"
    error_message = "services of this account publish, and nobody by plain HTTP"
  }
}

run "alarms_nobody_hears_are_refused" {
  command = plan
  variables {
    team_emails = []
  }
  expect_failures = [var.team_emails]
}

run "a_lead_is_asked_for" {
  command = plan
  variables {
    lead_emails = []
  }
  expect_failures = [var.lead_emails]
}

run "an_owner_is_asked_for" {
  command = plan
  variables {
    owner_emails = []
  }
  expect_failures = [var.owner_emails]
}

run "no_budget_is_refused" {
  command = plan
  variables {
    monthly_budget_usd = 0
  }
  expect_failures = [var.monthly_budget_usd]
}

run "logs_without_a_key_are_refused" {
  command = plan
  variables {
    log_kms_key_arn = ""
  }
  expect_failures = [var.log_kms_key_arn]
}

run "a_topic_without_a_key_is_refused" {
  command = plan
  variables {
    events_kms_key_arn = ""
  }
  expect_failures = [var.events_kms_key_arn]
}
