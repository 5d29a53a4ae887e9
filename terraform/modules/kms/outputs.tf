output "key_arns" {
  description = "ARN of each key, by its name."
  value       = { for name, key in aws_kms_key.this : name => key.arn }
}

output "public_keys" {
  description = "Public half of each key that signs, by its name: SubjectPublicKeyInfo, base64 in one line."
  value       = { for name, key in data.aws_kms_public_key.this : name => key.public_key }
}
