# Customer-managed keys, one per kind of data, so that access to one kind never opens another. Keys that encrypt rotate yearly;
# a key that signs does not: whoever verifies has its public half pinned.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  root = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"

  # the account decides who uses a key through IAM; services are named, and only for this account
  statements = {
    for key, settings in var.keys : key => concat(
      [{
        Sid       = "AccountDecidesThroughIam"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = "kms:*"
        Resource  = "*"
      }],
      [for service in settings.services : {
        Sid       = "Service${replace(title(replace(split(".", service)[0], "-", " ")), " ", "")}"
        Effect    = "Allow"
        Principal = { Service = service }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      }],
      # CloudWatch Logs sends no source account, but the log group it works for
      settings.cloudwatch_logs ? [{
        Sid       = "CloudWatchLogs"
        Effect    = "Allow"
        Principal = { Service = "logs.${data.aws_region.current.name}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = {
            "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:log-group:*"
          }
        }
      }] : [],
    )
  }
}

resource "aws_kms_key" "this" {
  for_each = var.keys

  #checkov:skip=CKV_AWS_7:KMS rotates no key that signs
  description              = each.value.description
  key_usage                = each.value.signing ? "SIGN_VERIFY" : "ENCRYPT_DECRYPT"
  customer_master_key_spec = each.value.signing ? "ECC_NIST_P256" : "SYMMETRIC_DEFAULT"
  enable_key_rotation      = !each.value.signing
  deletion_window_in_days  = var.deletion_window_in_days
  policy                   = jsonencode({ Version = "2012-10-17", Statement = local.statements[each.key] })
  tags                     = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_kms_alias" "this" {
  for_each = var.keys

  name          = "alias/${var.name}-${each.key}"
  target_key_id = aws_kms_key.this[each.key].key_id
}

data "aws_kms_public_key" "this" {
  for_each = { for name, settings in var.keys : name => settings if settings.signing }

  key_id = aws_kms_key.this[each.key].arn
}
