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

run "nine_subnets_that_do_not_overlap" {
  command = plan

  assert {
    condition     = length(aws_subnet.public) == 3 && length(aws_subnet.private) == 3 && length(aws_subnet.database) == 3
    error_message = "three tiers in three zones are nine subnets"
  }
  assert {
    condition     = output.private_subnet_cidrs == ["10.0.0.0/19", "10.0.32.0/19", "10.0.64.0/19"]
    error_message = "private subnets are an eighth of the network each"
  }
  assert {
    condition     = output.public_subnet_cidrs == ["10.0.192.0/22", "10.0.196.0/22", "10.0.200.0/22"]
    error_message = "public subnets share the seventh eighth"
  }
  assert {
    condition     = output.database_subnet_cidrs == ["10.0.224.0/22", "10.0.228.0/22", "10.0.232.0/22"]
    error_message = "database subnets share the last eighth"
  }
}

run "six_zones_still_fit_in_the_smallest_network" {
  command = plan

  variables {
    vpc_cidr           = "10.0.0.0/20"
    availability_zones = ["us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d", "us-east-1e", "us-east-1f"]
  }
  assert {
    condition     = length(distinct(concat(output.private_subnet_cidrs, output.public_subnet_cidrs, output.database_subnet_cidrs))) == 18
    error_message = "six zones have eighteen different subnets"
  }
  assert {
    condition     = alltrue([for cidr in concat(output.public_subnet_cidrs, output.database_subnet_cidrs) : tonumber(split("/", cidr)[1]) <= 28])
    error_message = "AWS allows no subnet smaller than /28"
  }
}

run "a_nat_gateway_per_zone_or_one" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_eip.nat) == 3
    error_message = "by default every zone has its own way out"
  }
}

run "one_nat_gateway_serves_every_zone" {
  command = plan

  variables {
    single_nat_gateway = true
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 3
    error_message = "one gateway, and a route to it from every zone"
  }
}

run "databases_have_no_route_out" {
  command = plan

  assert {
    condition     = length(aws_route.nat) == 3 && length(aws_route.internet) == 3 && length(aws_route_table.database) == 3
    error_message = "routes exist for the public and the private tier only"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch == false])
    error_message = "nothing gets a public address by accident"
  }
}

run "discovery_tags_are_on_the_right_tiers" {
  command = plan

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.tags["kubernetes.io/role/elb"] == "1"]) && alltrue([for subnet in aws_subnet.private : subnet.tags["kubernetes.io/role/internal-elb"] == "1" && subnet.tags["karpenter.sh/discovery"] == "mlops-test"])
    error_message = "load balancers and Karpenter find their subnets by tag"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.database : !contains(keys(subnet.tags), "karpenter.sh/discovery")])
    error_message = "no node may start in the database tier"
  }
}

run "endpoints_keep_aws_traffic_inside" {
  command = plan

  assert {
    condition     = toset(keys(aws_vpc_endpoint.gateway)) == toset(["s3", "dynamodb"]) && length(aws_vpc_endpoint.interface) == 10
    error_message = "gateway endpoints for S3 and DynamoDB, interface endpoints for ten services"
  }
  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled]) && aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == "10.0.0.0/16" && aws_vpc_security_group_ingress_rule.endpoints.from_port == 443
    error_message = "endpoints answer HTTPS from the VPC under AWS's own names"
  }
}

run "everything_that_moves_is_logged_and_encrypted" {
  command = plan

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.kms_key_id == "arn:aws:kms:us-east-1:123456789012:key/logs" && aws_cloudwatch_log_group.flow.retention_in_days == 365
    error_message = "flow logs cover all traffic, with our key, for a year"
  }
}
