# Buckets of the platform: versioned, encrypted with our key, closed to the public, reachable by TLS only.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # the account id makes names unique in the world
  names = { for bucket in keys(var.buckets) : bucket => "${var.name}-${bucket}-${data.aws_caller_identity.current.account_id}" }
  arns  = { for bucket, name in local.names : bucket => "arn:${data.aws_partition.current.partition}:s3:::${name}" }

  locked = { for bucket, settings in var.buckets : bucket => settings if settings.object_lock_days > 0 }

  lifecycle_rules = {
    for bucket, settings in var.buckets : bucket => settings
    if length(settings.tiers) > 0 || settings.expire_days > 0 || settings.noncurrent_days > 0
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:Regional copies cost as much as the original; what must survive a region is listed in the README
  #checkov:skip=CKV2_AWS_62:Nothing waits for object events; the platform reads what it wrote
  #checkov:skip=CKV_AWS_18:Who read what is the account's CloudTrail to record (data events), which is made once per account and not by this repository
  for_each = var.buckets

  bucket              = local.names[each.key]
  object_lock_enabled = each.value.object_lock_days > 0
  force_destroy       = var.force_destroy && each.value.object_lock_days == 0
  tags                = merge(var.tags, { Name = local.names[each.key], data-classification = each.value.classification })
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = var.buckets

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = var.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = var.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = var.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = var.buckets

  bucket = aws_s3_bucket.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "TlsOnly"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:*"
          Resource  = [local.arns[each.key], "${local.arns[each.key]}/*"]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
        {
          Sid       = "OurKeyOnly"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:PutObject"
          Resource  = ["${local.arns[each.key]}/*"]
          # a request that names no key gets ours by default; one that names another is refused
          Condition = {
            StringNotEquals = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = var.kms_key_arn }
            Null            = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" }
          }
        },
        {
          Sid       = "NoOtherEncryption"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:PutObject"
          Resource  = ["${local.arns[each.key]}/*"]
          Condition = {
            StringNotEquals = { "s3:x-amz-server-side-encryption" = "aws:kms" }
            Null            = { "s3:x-amz-server-side-encryption" = "false" }
          }
        },
      ],
      # what is locked cannot be unlocked by anybody who merely has rights on S3
      each.value.object_lock_days > 0 ? [merge(
        {
          Sid       = "NobodyBypassesTheLock"
          Effect    = "Deny"
          Principal = "*"
          Action    = ["s3:BypassGovernanceRetention"]
          Resource  = ["${local.arns[each.key]}/*"]
        },
        length(var.lock_administrator_arns) == 0 ? {} : { Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.lock_administrator_arns } } },
      )] : [],
      # a lock keeps versions; this keeps anybody from putting another version before them
      each.value.object_lock_days > 0 ? [{
        Sid       = "NothingIsWrittenOver"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = ["${local.arns[each.key]}/*"]
        Condition = { Null = { "s3:if-none-match" = "true" } }
      }] : [],
    )
  })

  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  for_each = local.locked

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    default_retention {
      mode = each.value.object_lock_mode
      days = each.value.object_lock_days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.lifecycle_rules

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "age"
    status = "Enabled"
    filter {}

    dynamic "transition" {
      for_each = each.value.tiers
      content {
        days          = transition.value.days
        storage_class = transition.value.storage_class
      }
    }
    dynamic "expiration" {
      for_each = each.value.expire_days > 0 ? [each.value.expire_days] : []
      content {
        days = expiration.value
      }
    }
    dynamic "noncurrent_version_expiration" {
      for_each = each.value.noncurrent_days > 0 ? [each.value.noncurrent_days] : []
      content {
        noncurrent_days = noncurrent_version_expiration.value
      }
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
