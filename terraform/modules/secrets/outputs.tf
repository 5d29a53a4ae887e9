output "secret_arns" {
  description = "ARN of each secret, by name."
  value       = { for secret, created in aws_secretsmanager_secret.this : secret => created.arn }
}

output "secret_names" {
  description = "Full name of each secret, by name: what ExternalSecrets refer to."
  value       = { for secret, created in aws_secretsmanager_secret.this : secret => created.name }
}
