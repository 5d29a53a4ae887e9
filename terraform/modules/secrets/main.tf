# Secrets of the platform. Generated ones are made while applying and written straight to Secrets Manager: they are in no
# plan and in no state file. Given ones (an identity provider's client secret) are put there by a person afterwards.

locals {
  generated = { for secret, settings in var.secrets : secret => settings if settings.generate_length > 0 }
}

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:Rotation needs a function per consumer; generated secrets are renewed by raising their generation, which plans show
  for_each = var.secrets

  name                    = "${var.prefix}/${each.key}"
  description             = each.value.description
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_window_in_days
  tags                    = var.tags
}

ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = local.generated

  password_length     = each.value.generate_length
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "generated" {
  for_each = local.generated

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.this[each.key].random_password
  secret_string_wo_version = each.value.generation
}

# TLS only, and never another account
resource "aws_secretsmanager_secret_policy" "this" {
  for_each = aws_secretsmanager_secret.this

  secret_arn          = each.value.arn
  block_public_policy = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "secretsmanager:GetSecretValue"
      Resource  = "*"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
