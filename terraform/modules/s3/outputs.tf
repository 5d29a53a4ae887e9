output "bucket_names" {
  description = "Full name of each bucket, by its short name."
  value       = { for bucket, created in aws_s3_bucket.this : bucket => created.id }
}

output "bucket_arns" {
  description = "ARN of each bucket, by its short name."
  value       = { for bucket, created in aws_s3_bucket.this : bucket => created.arn }
}
