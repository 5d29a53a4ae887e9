output "endpoint" {
  description = "Host and port."
  value       = aws_db_instance.this.endpoint
}

output "address" {
  description = "Host."
  value       = aws_db_instance.this.address
}

output "identifier" {
  description = "Identifier of the instance."
  value       = aws_db_instance.this.identifier
}

output "master_user_secret_arn" {
  description = "Secret in which RDS keeps the master password; empty where RDS does not say."
  value       = try(aws_db_instance.this.master_user_secret[0].secret_arn, "")
}

output "security_group_id" {
  description = "Security group of the database."
  value       = aws_security_group.this.id
}
