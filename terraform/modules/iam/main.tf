# Who in the cluster may do what in AWS: one role per workload, worn through Pod Identity by one service account of one
# namespace. Each may do what its work needs and nothing more; tests/terraform simulates what they may not.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name

  read_key  = { Effect = "Allow", Action = ["kms:Decrypt", "kms:DescribeKey"], Resource = [var.data_kms_key_arn] }
  write_key = { Effect = "Allow", Action = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"], Resource = [var.data_kms_key_arn] }

  artifacts      = var.bucket_arns["artifacts"]
  data_lake      = var.bucket_arns["data-lake"]
  prediction_log = var.bucket_arns["prediction-log"]
  audit          = var.bucket_arns["audit"]
  backups        = var.bucket_arns["backups"]
  audit_log      = var.table_arns["audit-log"]
  online_tables  = [for table, arn in var.table_arns : arn if startswith(table, "online.")]

  # what `audit verify` reads of the mirror: heads by their keys, events by tenant
  audit_compares = [
    { Effect = "Allow", Action = ["s3:ListBucketVersions"], Resource = [local.audit], Condition = { StringLike = { "s3:prefix" = ["heads/*"] } } },
    { Effect = "Allow", Action = ["dynamodb:Query"], Resource = [local.audit_log] },
  ]

  # said twice, here and by leaving it out below: whatever is added later, what is in the audit log stays in it
  audit_only_grows = [
    { Effect = "Deny", Action = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:BypassGovernanceRetention"], Resource = ["${local.audit}/*"] },
    { Effect = "Deny", Action = ["dynamodb:DeleteItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteTable", "dynamodb:PartiQL*"], Resource = [local.audit_log] },
  ]

  # Feast runs inside the platform's pods: it reads the lake, keeps features and its registry, fills and reads the online store
  feast = concat(
    [
      { Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], Resource = ["${local.data_lake}/features/*", "${local.data_lake}/registry/*"] },
      { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.data_lake}/raw/*", "${local.data_lake}/processed/*"] },
      # without a condition on the prefix: Feast asks whether the bucket exists before it reads its registry, and that names none
      { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.data_lake] },
    ],
    length(var.online_store_connect_arns) == 0 ? [] : [
      { Effect = "Allow", Action = ["elasticache:Connect"], Resource = var.online_store_connect_arns },
    ],
    length(local.online_tables) == 0 ? [] : [
      { Effect = "Allow", Action = ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:Query"], Resource = local.online_tables },
    ],
  )

  workloads = {
    # the tracking server keeps runs' files below its own prefix
    mlflow = {
      namespaces      = ["mlflow"]
      service_account = "mlflow"
      statements = [
        { Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], Resource = ["${local.artifacts}/mlflow/*"] },
        { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.artifacts], Condition = { StringLike = { "s3:prefix" = ["mlflow/*", "mlflow"] } } },
        local.write_key,
      ]
    }

    # answers people: reads what was logged and built, appends to the prediction log, compares the audit log with its mirror
    platform-api = {
      namespaces      = ["mlops-platform"]
      service_account = "platform-api"
      statements = concat(
        [
          { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.artifacts}/*"] },
          { Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], Resource = ["${local.prediction_log}/*"] },
          { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.artifacts, local.prediction_log] },
          local.write_key,
        ],
        local.feast,
        local.audit_compares,
        local.audit_only_grows,
      )
    }

    # acts in the background: builds bundles, moves the prediction log (and erases from it), mirrors the audit log
    platform-worker = {
      namespaces      = ["mlops-platform"]
      service_account = "platform-worker"
      statements = concat(
        [
          { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.artifacts}/*"] },
          { Effect = "Allow", Action = ["s3:PutObject", "s3:AbortMultipartUpload"], Resource = ["${local.artifacts}/bundles/*", "${local.artifacts}/bundles-beside/*"] },
          { Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], Resource = ["${local.prediction_log}/*"] },
          { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.artifacts, local.prediction_log] },
          # a head is read only to bring back events after a restore
          { Effect = "Allow", Action = ["s3:PutObject", "s3:GetObjectVersion"], Resource = ["${local.audit}/heads/*"] },
          { Effect = "Allow", Action = ["dynamodb:PutItem"], Resource = [local.audit_log] },
          # statements of approval: it signs digests, and nobody else signs anything with this key
          { Effect = "Allow", Action = ["kms:GetPublicKey"], Resource = [var.statements_kms_key_arn] },
          { Effect = "Allow", Action = ["kms:Sign"], Resource = [var.statements_kms_key_arn], Condition = { StringEquals = { "kms:SigningAlgorithm" = "ECDSA_SHA_256" } } },
          # the bill of every tenant and model (setting MLOPS_COSTS=aws); Cost Explorer has no resources to name
          { Effect = "Allow", Action = ["ce:GetCostAndUsage"], Resource = ["*"] },
          # how old the newest backup and the last restore test are: their names say it
          { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.backups], Condition = { StringLike = { "s3:prefix" = ["platform/*"] } } },
          local.write_key,
        ],
        local.feast,
        local.audit_compares,
        local.audit_only_grows,
      )
    }

    # records moments of RDS and versions of objects; can delete nothing and restore nothing
    platform-backup = {
      namespaces      = ["mlops-platform"]
      service_account = "platform-backup"
      statements      = local.backup_statements
    }

    # restores into one scratch instance and one scratch bucket, and removes both again
    platform-restore-test = {
      namespaces      = ["mlops-platform"]
      service_account = "platform-restore-test"
      statements      = local.restore_test_statements
    }

    # loads approved models in tenants' namespaces; whoever breaks out of one changes nothing
    model-serving = {
      namespaces      = var.tenant_namespaces
      service_account = "model-server"
      statements = [
        { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.artifacts}/bundles/*"] },
        { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.artifacts], Condition = { StringLike = { "s3:prefix" = ["bundles/*"] } } },
        local.read_key,
      ]
    }

    external-secrets = {
      namespaces      = ["external-secrets"]
      service_account = "external-secrets"
      statements = [
        { Effect = "Allow", Action = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"], Resource = concat(["arn:${local.partition}:secretsmanager:${local.region}:${local.account}:secret:${var.secrets_prefix}/*"], var.extra_secret_arns) },
        { Effect = "Allow", Action = ["kms:Decrypt", "kms:DescribeKey"], Resource = [var.secrets_kms_key_arn, var.database_kms_key_arn] },
      ]
    }

    # may make and change load balancers that carry the cluster's tag, and look at everything else
    load-balancer-controller = {
      namespaces      = ["kube-system"]
      service_account = "aws-load-balancer-controller"
      statements      = local.load_balancer_statements
    }

    # Cost Explorer and CloudWatch have no resources to name: these actions can only be allowed on all
    cloudwatch-exporter = {
      namespaces      = ["monitoring"]
      service_account = "cloudwatch-exporter"
      statements = [
        { Effect = "Allow", Action = ["ce:GetCostAndUsage", "ce:GetCostForecast", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics", "tag:GetResources"], Resource = ["*"] },
      ]
    }
  }

  associations = merge([
    for workload, settings in local.workloads : {
      for namespace in settings.namespaces : "${workload}-${namespace}" => { workload = workload, namespace = namespace, service_account = settings.service_account }
    }
  ]...)
}

resource "aws_iam_role" "this" {
  for_each = local.workloads

  name        = "${var.name}-${each.key}"
  description = "${each.value.service_account} in ${var.cluster_name}"
  # only pods of this cluster, and only of these namespaces and this service account
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "pods.eks.amazonaws.com" }
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = local.account
          "aws:RequestTag/kubernetes-namespace"       = each.value.namespaces
          "aws:RequestTag/kubernetes-service-account" = each.value.service_account
        }
        ArnEquals = {
          "aws:SourceArn" = "arn:${local.partition}:eks:${local.region}:${local.account}:cluster/${var.cluster_name}"
        }
      }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "this" {
  #checkov:skip=CKV_AWS_290:Only describe calls (load balancers, RDS) and reads of costs and metrics name all resources; those actions have no resource level
  #checkov:skip=CKV_AWS_355:As above: ce:Get*, cloudwatch:GetMetricData and elasticloadbalancing:Describe* cannot be limited to resources
  for_each = local.workloads

  name   = "work"
  role   = aws_iam_role.this[each.key].id
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value.statements })
}

resource "aws_eks_pod_identity_association" "this" {
  for_each = { for name, association in local.associations : name => association if var.manage_access }

  cluster_name    = var.cluster_name
  namespace       = each.value.namespace
  service_account = each.value.service_account
  role_arn        = aws_iam_role.this[each.value.workload].arn
  tags            = var.tags
}
