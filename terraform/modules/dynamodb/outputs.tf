output "table_names" {
  description = "Full name of each table, by its short name."
  value       = { for table, created in aws_dynamodb_table.this : table => created.name }
}

output "table_arns" {
  description = "ARN of each table, by its short name."
  value       = { for table, created in aws_dynamodb_table.this : table => created.arn }
}
