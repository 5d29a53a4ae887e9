mock_provider "aws" {
  source = "../../testing"
}

variables {
  name              = "mlops-test"
  cluster_name      = "mlops-test"
  tenant_namespaces = ["team-a", "team-b"]
  bucket_arns = {
    artifacts       = "arn:aws:s3:::mlops-test-artifacts"
    data-lake       = "arn:aws:s3:::mlops-test-data-lake"
    prediction-log  = "arn:aws:s3:::mlops-test-prediction-log"
    audit           = "arn:aws:s3:::mlops-test-audit"
    backups         = "arn:aws:s3:::mlops-test-backups"
    restore-scratch = "arn:aws:s3:::mlops-test-restore-scratch"
  }
  table_arns = {
    audit-log = "arn:aws:dynamodb:us-east-1:123456789012:table/mlops-test-audit-log"
  }
  data_kms_key_arn       = "arn:aws:kms:us-east-1:123456789012:key/data"
  secrets_kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/secrets"
  statements_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/statements"
  backups_kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/backups"
  database_instance      = "mlops-test"
  database_kms_key_arn   = "arn:aws:kms:us-east-1:123456789012:key/database"
  secrets_prefix         = "mlops-platform/test"
}

run "each_service_account_wears_its_own_role" {
  command = apply

  assert {
    condition = toset([for association in aws_eks_pod_identity_association.this : "${association.namespace}/${association.service_account}"]) == toset([
      "mlflow/mlflow", "mlops-platform/platform-api", "mlops-platform/platform-worker",
      "mlops-platform/platform-backup", "mlops-platform/platform-restore-test", "team-a/model-server", "team-b/model-server",
      "external-secrets/external-secrets", "kube-system/aws-load-balancer-controller", "monitoring/cloudwatch-exporter",
    ])
    error_message = "one association for every service account that needs AWS"
  }
}

run "roles_are_worn_by_their_own_pods_only" {
  command = plan

  assert {
    condition     = alltrue([for role in aws_iam_role.this : jsondecode(role.assume_role_policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == "arn:aws:eks:us-east-1:123456789012:cluster/mlops-test"])
    error_message = "pods of another cluster cannot wear them"
  }
  assert {
    condition     = jsondecode(aws_iam_role.this["model-serving"].assume_role_policy).Statement[0].Condition.StringEquals["aws:RequestTag/kubernetes-namespace"] == ["team-a", "team-b"]
    error_message = "model servers of the tenants' namespaces and no others"
  }
  assert {
    condition     = jsondecode(aws_iam_role.this["mlflow"].assume_role_policy).Statement[0].Condition.StringEquals["aws:RequestTag/kubernetes-service-account"] == "mlflow"
    error_message = "a role names its service account"
  }
}

run "no_wildcard_action_meets_a_wildcard_resource" {
  command = plan

  assert {
    condition = alltrue(flatten([for policy in aws_iam_role_policy.this : [for statement in jsondecode(policy.policy).Statement :
      statement.Effect == "Deny" || !(contains(statement.Resource, "*") && anytrue([for action in statement.Action : strcontains(action, "*")]))
    ]]))
    error_message = "an action with a star never comes with all resources"
  }
  assert {
    condition     = alltrue([for policy in aws_iam_role_policy.this : length(policy.policy) <= 10240])
    error_message = "IAM takes policies of up to 10,240 characters"
  }
}

run "the_worker_alone_signs_statements" {
  command = plan

  assert {
    condition     = [for workload, policy in aws_iam_role_policy.this : workload if anytrue([for statement in jsondecode(policy.policy).Statement : contains(statement.Action, "kms:Sign") && contains(statement.Resource, var.statements_kms_key_arn)])] == ["platform-worker"]
    error_message = "nobody but the worker signs what counts as an approval"
  }
}

run "a_dynamodb_online_store_is_reached_by_feast_and_nobody_else" {
  command = plan
  variables {
    table_arns = {
      audit-log                         = "arn:aws:dynamodb:us-east-1:123456789012:table/mlops-test-audit-log"
      "online.credit.customer_features" = "arn:aws:dynamodb:us-east-1:123456789012:table/mlops-test-online.credit.customer_features"
    }
  }
  assert {
    condition     = toset([for workload, policy in aws_iam_role_policy.this : workload if strcontains(policy.policy, "mlops-test-online.")]) == toset(["platform-api", "platform-worker"])
    error_message = "the platform's pods, in which Feast runs"
  }
}

run "an_elasticache_online_store_is_signed_in_to_by_feast_and_nobody_else" {
  command = plan
  variables {
    online_store_connect_arns = [
      "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:mlops-test",
      "arn:aws:elasticache:us-east-1:123456789012:user:mlops-test-features",
    ]
  }
  assert {
    condition     = toset([for workload, policy in aws_iam_role_policy.this : workload if strcontains(policy.policy, "elasticache:")]) == toset(["platform-api", "platform-worker"])
    error_message = "the platform's pods, in which Feast runs"
  }
  assert {
    condition = alltrue([for workload in ["platform-api", "platform-worker"] : jsonencode([
      for statement in jsondecode(aws_iam_role_policy.this[workload].policy).Statement : statement if anytrue([for action in statement.Action : startswith(action, "elasticache:")])
    ]) == jsonencode([{ Action = ["elasticache:Connect"], Effect = "Allow", Resource = var.online_store_connect_arns }])])
    error_message = "this group and this user, and nothing but signing in"
  }
}

run "without_tenants_nothing_serves" {
  command = plan
  variables {
    tenant_namespaces = []
  }
  expect_failures = [var.tenant_namespaces]
}

run "every_namespace_at_once_is_refused" {
  command = plan
  variables {
    tenant_namespaces = ["*"]
  }
  expect_failures = [var.tenant_namespaces]
}

run "a_forgotten_bucket_is_named" {
  command = plan
  variables {
    bucket_arns = { artifacts = "arn:aws:s3:::mlops-test-artifacts", data-lake = "arn:aws:s3:::b", prediction-log = "arn:aws:s3:::c" }
  }
  expect_failures = [var.bucket_arns]
}

run "a_forgotten_table_is_named" {
  command = plan
  variables {
    table_arns = { "online.x.y" = "arn:aws:dynamodb:us-east-1:123456789012:table/x" }
  }
  expect_failures = [var.table_arns]
}

run "a_backup_can_delete_nothing_and_a_restore_test_only_its_own" {
  command = plan

  assert {
    condition     = !strcontains(aws_iam_role_policy.this["platform-backup"].policy, "Delete") && !strcontains(aws_iam_role_policy.this["platform-backup"].policy, "Restore")
    error_message = "a backup reads, and writes manifests"
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.this["platform-restore-test"].policy).Statement : statement.Resource if contains(statement.Action, "rds:DeleteDBInstance")] == [
      ["arn:aws:rds:us-east-1:123456789012:db:mlops-test-restore-test"]
    ]
    error_message = "one instance may be deleted: the one that tests make"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.this["platform-restore-test"].policy, "kms:Sign")
    error_message = "a restore test signs nothing"
  }
  assert {
    condition     = [for workload, policy in aws_iam_role_policy.this : workload if anytrue([for statement in jsondecode(policy.policy).Statement : contains(statement.Action, "kms:Sign") && contains(statement.Resource, var.backups_kms_key_arn)])] == ["platform-backup"]
    error_message = "nobody but the backup signs manifests"
  }
}
