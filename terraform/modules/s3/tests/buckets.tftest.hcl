mock_provider "aws" {
  source = "../../testing"
}

variables {
  name        = "mlops-test"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/data"
  buckets = {
    artifacts = { classification = "confidential", tiers = [{ days = 90, storage_class = "STANDARD_IA" }, { days = 365, storage_class = "GLACIER_IR" }] }
    audit     = { classification = "restricted", noncurrent_days = 0, object_lock_days = 2557, object_lock_mode = "COMPLIANCE" }
  }
}

run "every_bucket_is_versioned_encrypted_and_closed" {
  command = plan

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket_versioning.this : bucket.versioning_configuration[0].status == "Enabled"])
    error_message = "every bucket keeps versions"
  }
  assert {
    condition = alltrue([for bucket in aws_s3_bucket_server_side_encryption_configuration.this :
      one(bucket.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" && one(bucket.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == "arn:aws:kms:us-east-1:123456789012:key/data"
    ])
    error_message = "every bucket is encrypted with our key"
  }
  assert {
    condition     = alltrue([for block in aws_s3_bucket_public_access_block.this : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets])
    error_message = "no bucket can be opened to the public"
  }
  assert {
    condition     = length(aws_s3_bucket_public_access_block.this) == 2 && length(aws_s3_bucket_policy.this) == 2
    error_message = "no bucket is left out"
  }
}

run "policies_refuse_plain_http_and_other_keys" {
  command = plan

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket_policy.this : toset(["TlsOnly", "OurKeyOnly", "NoOtherEncryption"]) == setintersection(toset([for statement in jsondecode(bucket.policy).Statement : statement.Sid]), toset(["TlsOnly", "OurKeyOnly", "NoOtherEncryption"]))])
    error_message = "three refusals on every bucket"
  }
  assert {
    condition     = alltrue(flatten([for bucket in aws_s3_bucket_policy.this : [for statement in jsondecode(bucket.policy).Statement : statement.Effect == "Deny"]]))
    error_message = "bucket policies only ever deny; roles allow"
  }
}

run "the_audit_bucket_is_written_once" {
  command = plan

  assert {
    condition     = aws_s3_bucket.this["audit"].object_lock_enabled && aws_s3_bucket_object_lock_configuration.this["audit"].rule[0].default_retention[0].days == 2557 && aws_s3_bucket_object_lock_configuration.this["audit"].rule[0].default_retention[0].mode == "COMPLIANCE"
    error_message = "seven years that nobody can shorten"
  }
  assert {
    condition     = contains([for statement in jsondecode(aws_s3_bucket_policy.this["audit"].policy).Statement : statement.Sid], "NobodyBypassesTheLock")
    error_message = "nobody bypasses the lock"
  }
  assert {
    condition     = one([for statement in jsondecode(aws_s3_bucket_policy.this["audit"].policy).Statement : statement.Condition if statement.Sid == "NothingIsWrittenOver"]).Null["s3:if-none-match"] == "true"
    error_message = "an upload that does not say If-None-Match is refused"
  }
  assert {
    condition     = !contains([for statement in jsondecode(aws_s3_bucket_policy.this["artifacts"].policy).Statement : statement.Sid], "NothingIsWrittenOver")
    error_message = "other buckets may be written over: they keep versions"
  }
  assert {
    condition     = !contains(keys(aws_s3_bucket_object_lock_configuration.this), "artifacts")
    error_message = "only what asks for it is locked"
  }
}

run "emptying_on_destroy_never_touches_what_is_locked" {
  command = plan
  variables {
    force_destroy = true
  }
  assert {
    condition     = aws_s3_bucket.this["artifacts"].force_destroy && !aws_s3_bucket.this["audit"].force_destroy
    error_message = "locked buckets are never emptied"
  }
}

run "objects_move_to_colder_tiers_as_they_age" {
  command = plan

  assert {
    condition     = toset([for transition in aws_s3_bucket_lifecycle_configuration.this["artifacts"].rule[0].transition : "${transition.days} ${transition.storage_class}"]) == toset(["90 STANDARD_IA", "365 GLACIER_IR"])
    error_message = "warm after 90 days, cold after a year"
  }
}

run "storage_without_a_key_is_refused" {
  command = plan
  variables {
    kms_key_arn = ""
  }
  expect_failures = [var.kms_key_arn]
}

run "a_class_nobody_defined_is_refused" {
  command = plan
  variables {
    buckets = { x = { classification = "secret" } }
  }
  expect_failures = [var.buckets]
}

run "a_storage_class_s3_does_not_know_is_refused" {
  command = plan
  variables {
    buckets = { x = { classification = "internal", tiers = [{ days = 30, storage_class = "FREEZER" }] } }
  }
  expect_failures = [var.buckets]
}

run "a_lock_mode_that_locks_nothing_is_refused" {
  command = plan
  variables {
    buckets = { x = { classification = "internal", object_lock_days = 1, object_lock_mode = "NONE" } }
  }
  expect_failures = [var.buckets]
}

run "expiry_before_the_lock_ends_is_refused" {
  command = plan
  variables {
    buckets = { x = { classification = "restricted", object_lock_days = 365, expire_days = 30 } }
  }
  expect_failures = [var.buckets]
}

run "a_name_too_long_for_s3_is_refused" {
  command = plan
  variables {
    name = "a-name-that-is-much-too-long-for-a-bucket"
  }
  expect_failures = [var.name]
}
