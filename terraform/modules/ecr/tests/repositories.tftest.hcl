mock_provider "aws" {
  source = "../../testing"
}

variables {
  name        = "mlops-test"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/data"
}

run "images_never_change_are_scanned_and_encrypted" {
  command = plan

  assert {
    condition     = toset(keys(aws_ecr_repository.this)) == toset(["mlops-api", "mlops-worker", "model-server", "mlflow"])
    error_message = "one repository per image of the platform"
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push])
    error_message = "tags never move and every push is scanned"
  }
  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.encryption_configuration[0].encryption_type == "KMS" && repository.encryption_configuration[0].kms_key == var.kms_key_arn])
    error_message = "images are encrypted with our key"
  }
}

run "old_images_go" {
  command = plan

  assert {
    condition     = alltrue([for policy in aws_ecr_lifecycle_policy.this : length(jsondecode(policy.policy).rules) == 2 && jsondecode(policy.policy).rules[1].selection.countNumber == 100])
    error_message = "untagged layers after a week, all but a hundred images"
  }
}

run "keeping_too_few_to_roll_back_is_refused" {
  command = plan
  variables {
    keep_images = 1
  }
  expect_failures = [var.keep_images]
}

run "images_without_a_key_are_refused" {
  command = plan
  variables {
    kms_key_arn = ""
  }
  expect_failures = [var.kms_key_arn]
}

run "the_same_repository_twice_is_refused" {
  command = plan
  variables {
    repositories = ["mlflow", "mlflow"]
  }
  expect_failures = [var.repositories]
}
