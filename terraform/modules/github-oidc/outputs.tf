output "deploy_role_arn" {
  description = "Role for `role-to-assume` of the pipeline."
  value       = aws_iam_role.deploy.arn
}
