output "role_arns" {
  description = "ARN of each workload's role, by workload."
  value       = { for workload, role in aws_iam_role.this : workload => role.arn }
}

output "role_names" {
  description = "Name of each workload's role, by workload."
  value       = { for workload, role in aws_iam_role.this : workload => role.name }
}
