mock_provider "aws" {
  source = "../../testing"
}

variables {
  name               = "mlops-test"
  vpc_cidr           = "10.0.0.0/16"
  availability_zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
  cluster_name       = "mlops-test"
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/logs"
}

run "databases_answer_private_subnets_only" {
  command = plan

  assert {
    condition     = alltrue([for rule in aws_network_acl.database.ingress : contains(concat(output.private_subnet_cidrs, output.database_subnet_cidrs), rule.cidr_block)])
    error_message = "the database tier lets in private and database subnets and nothing else"
  }
  assert {
    condition     = toset([for rule in aws_network_acl.database.ingress : rule.from_port if contains(output.private_subnet_cidrs, rule.cidr_block)]) == toset([5432, 6379])
    error_message = "private subnets reach PostgreSQL and Redis, and no other port"
  }
  assert {
    condition     = alltrue([for rule in aws_network_acl.database.egress : contains(concat(output.private_subnet_cidrs, output.database_subnet_cidrs), rule.cidr_block)])
    error_message = "the database tier sends nothing outside"
  }
}

run "nodes_are_closed_to_the_internet_but_for_replies" {
  command = plan

  assert {
    condition     = alltrue([for rule in aws_network_acl.private.ingress : rule.from_port >= 1024 if rule.cidr_block == "0.0.0.0/0"])
    error_message = "from outside only replies come in, to high ports"
  }
  assert {
    condition     = alltrue([for rule in aws_network_acl.private.egress : rule.from_port == 443 && rule.to_port == 443 if rule.cidr_block == "0.0.0.0/0"])
    error_message = "nodes leave the VPC by HTTPS only"
  }
  assert {
    condition     = length([for rule in aws_network_acl.private.ingress : rule if contains(output.database_subnet_cidrs, rule.cidr_block)]) == 0
    error_message = "a database opens no connection to a node"
  }
}

run "the_public_tier_is_open_for_web_traffic_only" {
  command = plan

  assert {
    condition     = toset([for rule in aws_network_acl.public.ingress : rule.from_port if rule.cidr_block == "0.0.0.0/0"]) == toset([80, 443, 1024])
    error_message = "HTTP to be redirected, HTTPS, and replies"
  }
  assert {
    condition     = length([for rule in aws_network_acl.public.ingress : rule if contains(output.database_subnet_cidrs, rule.cidr_block)]) == 0
    error_message = "the database tier cannot reach the public tier"
  }
}

run "the_group_every_vpc_is_born_with_lets_nothing_through" {
  command = apply

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "the default security group has no rule"
  }
}
