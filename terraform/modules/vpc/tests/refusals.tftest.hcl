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

run "a_network_too_small_is_refused" {
  command = plan
  variables {
    vpc_cidr = "10.0.0.0/24"
  }
  expect_failures = [var.vpc_cidr]
}

run "a_network_larger_than_aws_allows_is_refused" {
  command = plan
  variables {
    vpc_cidr = "10.0.0.0/8"
  }
  expect_failures = [var.vpc_cidr]
}

run "a_range_that_starts_in_the_middle_is_refused" {
  command = plan
  variables {
    vpc_cidr = "10.0.4.7/16"
  }
  expect_failures = [var.vpc_cidr]
}

run "words_are_no_range" {
  command = plan
  variables {
    vpc_cidr = "ten dot zero"
  }
  expect_failures = [var.vpc_cidr]
}

run "a_taken_range_is_refused" {
  command = plan
  variables {
    reserved_cidrs = ["10.0.128.0/17"]
  }
  expect_failures = [aws_vpc.this]
}

run "a_range_inside_a_taken_one_is_refused" {
  command = plan
  variables {
    reserved_cidrs = ["10.0.0.0/8"]
  }
  expect_failures = [aws_vpc.this]
}

run "a_neighbouring_range_is_fine" {
  command = plan
  variables {
    reserved_cidrs = ["10.1.0.0/16", "9.255.0.0/16"]
  }
}

run "the_clusters_service_range_is_taken" {
  command = plan
  variables {
    vpc_cidr = "172.20.0.0/16"
  }
  expect_failures = [aws_vpc.this]
}

run "one_zone_is_refused" {
  command = plan
  variables {
    availability_zones = ["us-east-1a"]
  }
  expect_failures = [var.availability_zones]
}

run "a_zone_twice_is_refused" {
  command = plan
  variables {
    availability_zones = ["us-east-1a", "us-east-1a"]
  }
  expect_failures = [var.availability_zones]
}

run "zones_of_another_region_are_refused" {
  command = plan
  variables {
    availability_zones = ["eu-west-1a", "eu-west-1b"]
  }
  expect_failures = [aws_vpc.this]
}

run "logs_without_a_key_are_refused" {
  command = plan
  variables {
    kms_key_arn = ""
  }
  expect_failures = [var.kms_key_arn]
}

run "a_log_period_cloudwatch_does_not_offer_is_refused" {
  command = plan
  variables {
    flow_logs_retention_days = 7
  }
  expect_failures = [var.flow_logs_retention_days]
}

run "a_reserved_range_that_is_none_is_refused" {
  command = plan
  variables {
    reserved_cidrs = ["the office"]
  }
  expect_failures = [var.reserved_cidrs]
}

run "a_name_aws_would_refuse_is_refused" {
  command = plan
  variables {
    name = "MLops_Platform"
  }
  expect_failures = [var.name]
}
