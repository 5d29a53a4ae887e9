output "repository_urls" {
  description = "URL of each repository, by image."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.repository_url }
}

output "repository_arns" {
  description = "ARN of each repository, by image."
  value       = { for image, repository in aws_ecr_repository.this : image => repository.arn }
}
