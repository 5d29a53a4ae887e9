output "zone_id" {
  description = "Hosted zone."
  value       = aws_route53_zone.this.zone_id
}

output "name_servers" {
  description = "What the parent zone must delegate to."
  value       = aws_route53_zone.this.name_servers
}

output "certificate_arn" {
  description = "Certificate of the domain and everything below it."
  value       = aws_acm_certificate.this.arn
}
