output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "Address range of the VPC."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Subnets of load balancers and NAT gateways, in the order of the zones."
  value       = [for zone in var.availability_zones : aws_subnet.public[zone].id]
}

output "private_subnet_ids" {
  description = "Subnets of nodes and pods, in the order of the zones."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
}

output "database_subnet_ids" {
  description = "Subnets of databases and caches, in the order of the zones."
  value       = [for zone in var.availability_zones : aws_subnet.database[zone].id]
}

output "public_subnet_cidrs" {
  description = "Ranges of the public subnets."
  value       = [for zone in var.availability_zones : local.public_cidrs[zone]]
}

output "private_subnet_cidrs" {
  description = "Ranges of the private subnets."
  value       = [for zone in var.availability_zones : local.private_cidrs[zone]]
}

output "database_subnet_cidrs" {
  description = "Ranges of the database subnets."
  value       = [for zone in var.availability_zones : local.database_cidrs[zone]]
}

output "nat_gateway_ids" {
  description = "NAT gateways, one or one per zone."
  value       = [for gateway in aws_nat_gateway.this : gateway.id]
}

output "internet_gateway_id" {
  description = "Internet gateway."
  value       = aws_internet_gateway.this.id
}

output "vpc_endpoint_s3_id" {
  description = "Gateway endpoint of S3."
  value       = aws_vpc_endpoint.gateway["s3"].id
}

output "vpc_endpoint_dynamodb_id" {
  description = "Gateway endpoint of DynamoDB."
  value       = aws_vpc_endpoint.gateway["dynamodb"].id
}

output "vpc_endpoints_security_group_id" {
  description = "Security group of the interface endpoints."
  value       = aws_security_group.endpoints.id
}
