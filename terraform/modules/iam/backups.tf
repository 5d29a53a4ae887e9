# The rights of backups and of restore tests. Nothing here can delete a version of an object, a snapshot, or the instance that runs.

locals {
  rds = "arn:${local.partition}:rds:${local.region}:${local.account}"

  source_instance  = "${local.rds}:db:${var.database_instance}"
  scratch_instance = "${local.rds}:db:${var.database_instance}-restore-test"
  snapshots        = "${local.rds}:snapshot:mlops-backup-*"
  scratch          = var.bucket_arns["restore-scratch"]

  # what a backup is made of, in all its versions
  backed_up = [
    "${local.artifacts}/mlflow/*", "${local.artifacts}/bundles/*", "${local.artifacts}/bundles-beside/*",
    "${local.data_lake}/features/*", "${local.data_lake}/registry/*", "${local.prediction_log}/predictions/*",
  ]

  reads_backups = [
    { Effect = "Allow", Action = ["s3:GetObjectVersion", "s3:GetObject"], Resource = local.backed_up },
    { Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.backups}/platform/*"] },
    # with ListBucket a blob that is not there is missing, without it forbidden
    { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.backups], Condition = { StringLike = { "s3:prefix" = ["platform/*"] } } },
    # RDS has describe calls for all instances of an account only
    { Effect = "Allow", Action = ["rds:DescribeDBInstances", "rds:DescribeDBInstanceAutomatedBackups", "rds:DescribeDBSnapshots"], Resource = ["*"] },
    { Effect = "Allow", Action = ["kms:GetPublicKey"], Resource = [var.backups_kms_key_arn] },
    local.write_key,
  ]

  backup_statements = concat(local.reads_backups, [
    { Effect = "Allow", Action = ["s3:ListBucketVersions"], Resource = [local.artifacts, local.data_lake, local.prediction_log] },
    { Effect = "Allow", Action = ["s3:PutObject"], Resource = ["${local.backups}/platform/*"] },
    { Effect = "Allow", Action = ["kms:Sign"], Resource = [var.backups_kms_key_arn], Condition = { StringEquals = { "kms:SigningAlgorithm" = "ECDSA_SHA_256" } } },
    # `mlops backup --full`
    { Effect = "Allow", Action = ["rds:CreateDBSnapshot", "rds:AddTagsToResource"], Resource = [local.snapshots] },
    { Effect = "Allow", Action = ["rds:CreateDBSnapshot"], Resource = [local.source_instance] },
  ])

  restore_test_statements = concat(local.reads_backups, [
    { Effect = "Allow", Action = ["s3:PutObject"], Resource = ["${local.backups}/platform/tests/*"] },
    { Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], Resource = ["${local.scratch}/restore-test/*"] },
    { Effect = "Allow", Action = ["s3:ListBucket"], Resource = [local.scratch], Condition = { StringLike = { "s3:prefix" = ["restore-test/*"] } } },
    {
      Effect = "Allow"
      Action = ["rds:RestoreDBInstanceToPointInTime", "rds:RestoreDBInstanceFromDBSnapshot"]
      Resource = [
        local.source_instance, local.scratch_instance, local.snapshots,
        "${local.rds}:subgrp:${var.database_instance}", "${local.rds}:pg:${var.database_instance}-*", "${local.rds}:og:default*",
      ]
    },
    { Effect = "Allow", Action = ["rds:AddTagsToResource", "rds:DeleteDBInstance"], Resource = [local.scratch_instance] },
    # RDS uses the key for the instance that it makes; the role itself decrypts nothing of the database with it
    { Effect = "Allow", Action = ["kms:DescribeKey"], Resource = [var.database_kms_key_arn] },
    { Effect = "Allow", Action = ["kms:CreateGrant"], Resource = [var.database_kms_key_arn], Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } } },
  ])
}
