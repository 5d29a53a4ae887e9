output "key_arns" {
  description = "ARN of each key, by its name."
  value       = { for name, key in aws_kms_key.this : name => key.arn }
}
