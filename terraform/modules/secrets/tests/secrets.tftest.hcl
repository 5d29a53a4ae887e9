# Terraform cannot mock ephemeral resources, so these tests use the real provider without an account: planning secrets that
# nobody generates asks AWS nothing. That generated ones get a value no state holds is shown on an emulated AWS, by
# platform-api/tests/terraform/test_apply.py.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

variables {
  prefix      = "mlops-platform/test"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/secrets"
  secrets = {
    client-secret = { description = "A person puts it here" }
    slack-webhook = { description = "A person puts it here" }
  }
}

run "secrets_are_encrypted_and_can_be_brought_back" {
  command = plan

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == var.kms_key_arn && secret.recovery_window_in_days == 30])
    error_message = "our key, and a month to change one's mind"
  }
  assert {
    condition     = aws_secretsmanager_secret.this["client-secret"].name == "mlops-platform/test/client-secret"
    error_message = "below the path the cluster may read"
  }
}

run "what_a_person_puts_there_is_not_written" {
  command = plan

  assert {
    condition     = length(aws_secretsmanager_secret_version.generated) == 0
    error_message = "only generated secrets get a value"
  }
}

run "nobody_reads_by_plain_http" {
  command = plan

  assert {
    condition     = alltrue([for policy in aws_secretsmanager_secret_policy.this : policy.block_public_policy && jsondecode(policy.policy).Statement[0].Effect == "Deny"])
    error_message = "every secret refuses plain HTTP and public policies"
  }
}

run "short_generated_secrets_are_refused" {
  command = plan
  variables {
    secrets = { weak = { description = "x", generate_length = 8 } }
  }
  expect_failures = [var.secrets]
}

run "secrets_without_a_key_are_refused" {
  command = plan
  variables {
    kms_key_arn = ""
  }
  expect_failures = [var.kms_key_arn]
}

run "a_path_with_a_slash_at_its_end_is_refused" {
  command = plan
  variables {
    prefix = "mlops-platform/"
  }
  expect_failures = [var.prefix]
}

run "a_window_aws_does_not_offer_is_refused" {
  command = plan
  variables {
    recovery_window_in_days = 3
  }
  expect_failures = [var.recovery_window_in_days]
}
