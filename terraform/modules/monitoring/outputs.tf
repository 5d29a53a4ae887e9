output "alarm_topic_arn" {
  description = "Topic every alarm goes to."
  value       = aws_sns_topic.alarms.arn
}

output "log_group_names" {
  description = "Log groups of the platform's parts."
  value       = { for part, group in aws_cloudwatch_log_group.this : part => group.name }
}
