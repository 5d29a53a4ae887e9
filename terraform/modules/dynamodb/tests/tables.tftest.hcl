mock_provider "aws" {
  source = "../../testing"
}

variables {
  name        = "mlops-test"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/data"
}

run "tables_are_encrypted_restorable_and_paid_by_use" {
  command = plan

  assert {
    condition     = toset(keys(aws_dynamodb_table.this)) == toset(["audit-log"])
    error_message = "one table, which the worker writes"
  }
  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.server_side_encryption[0].enabled && table.server_side_encryption[0].kms_key_arn == "arn:aws:kms:us-east-1:123456789012:key/data"])
    error_message = "encrypted with our key"
  }
  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.point_in_time_recovery[0].enabled && table.billing_mode == "PAY_PER_REQUEST" && table.deletion_protection_enabled])
    error_message = "restorable to any second, on demand, protected"
  }
}

run "an_online_store_has_a_table_per_feature_view" {
  command = plan
  variables {
    online_store_views = ["credit.customer_features"]
  }
  assert {
    condition     = aws_dynamodb_table.this["online.credit.customer_features"].name == "mlops-test-online.credit.customer_features" && aws_dynamodb_table.this["online.credit.customer_features"].hash_key == "entity_id"
    error_message = "named and keyed as Feast expects"
  }
}

run "tables_without_a_key_are_refused" {
  command = plan
  variables {
    kms_key_arn = "alias/aws/dynamodb"
  }
  expect_failures = [var.kms_key_arn]
}

run "a_view_without_its_project_is_refused" {
  command = plan
  variables {
    online_store_views = ["customer_features"]
  }
  expect_failures = [var.online_store_views]
}
