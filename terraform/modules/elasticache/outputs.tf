output "primary_endpoint" {
  description = "Host that takes writes."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "port" {
  description = "Port."
  value       = aws_elasticache_replication_group.this.port
}

output "security_group_id" {
  description = "Security group of the store."
  value       = aws_security_group.this.id
}

output "replication_group_id" {
  description = "What clients sign their tokens for; the endpoint is only where they connect."
  value       = aws_elasticache_replication_group.this.replication_group_id
}

output "user_name" {
  description = "User that reads and writes features. Its id is the same: IAM asks for that."
  value       = local.user
}

output "connect_arns" {
  description = "What a role must be allowed `elasticache:Connect` on to sign in."
  value       = ["${local.here}:replicationgroup:${var.name}", "${local.here}:user:${local.user}"]
}
