mock_provider "aws" {
  source = "../../testing"
}

variables {
  name                   = "mlops-test"
  vpc_id                 = "vpc-0123456789abcdef0"
  subnet_ids             = ["subnet-a", "subnet-b"]
  client_security_groups = { nodes = "sg-0123456789abcdef0" }
  node_type              = "cache.r6g.xlarge"
  kms_key_arn            = "arn:aws:kms:us-east-1:123456789012:key/database"
  log_kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/logs"
}

run "the_store_speaks_tls_is_encrypted_and_has_a_replica" {
  command = plan

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && aws_elasticache_replication_group.this.transit_encryption_mode == "required"
    error_message = "TLS is required"
  }
  assert {
    condition     = aws_elasticache_replication_group.this.at_rest_encryption_enabled == "true" && aws_elasticache_replication_group.this.kms_key_id == var.kms_key_arn
    error_message = "encrypted with our key"
  }
  assert {
    condition     = aws_elasticache_replication_group.this.num_cache_clusters == 2 && aws_elasticache_replication_group.this.multi_az_enabled && aws_elasticache_replication_group.this.automatic_failover_enabled
    error_message = "a replica in another zone takes over"
  }
}

run "who_does_not_say_who_they_are_may_do_nothing" {
  command = plan

  assert {
    condition     = aws_elasticache_user.nobody.user_name == "default" && startswith(aws_elasticache_user.nobody.access_string, "off")
    error_message = "the default user is off"
  }
  assert {
    condition     = strcontains(aws_elasticache_user.features.access_string, "-@dangerous") && aws_elasticache_user.features.passwords == null
    error_message = "the platform's user cannot reconfigure the server, and no password is in the configuration"
  }
  assert {
    condition     = strcontains(aws_elasticache_user.features.access_string, "+eval +evalsha")
    error_message = "the platform compares event times and writes in one step, which is a script"
  }
}

run "the_features_user_signs_in_with_iam" {
  command = plan

  assert {
    condition     = aws_elasticache_user.features.authentication_mode[0].type == "iam" && aws_elasticache_user.features.user_id == aws_elasticache_user.features.user_name
    error_message = "IAM takes users whose name is their id"
  }
  assert {
    condition = output.connect_arns == [
      "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:${output.replication_group_id}",
      "arn:aws:elasticache:us-east-1:123456789012:user:${output.user_name}",
    ]
    error_message = "a role may connect to the group and as the user that clients sign for"
  }
}

run "only_named_groups_connect" {
  command = plan

  assert {
    condition     = aws_vpc_security_group_ingress_rule.this["nodes"].from_port == 6379 && aws_vpc_security_group_ingress_rule.this["nodes"].referenced_security_group_id == "sg-0123456789abcdef0"
    error_message = "nodes connect to 6379, by group and not by address"
  }
}

run "a_development_store_is_one_node" {
  command = plan
  variables {
    node_type = "cache.t4g.micro"
    multi_az  = false
  }
  assert {
    condition     = aws_elasticache_replication_group.this.num_cache_clusters == 1 && aws_elasticache_replication_group.this.transit_encryption_enabled
    error_message = "one node, but still TLS"
  }
}

run "an_unknown_instance_class_is_refused" {
  command = plan
  variables {
    node_type = "cache.enormous"
  }
  expect_failures = [var.node_type]
}

run "a_store_without_a_key_is_refused" {
  command = plan
  variables {
    kms_key_arn = ""
  }
  expect_failures = [var.kms_key_arn]
}

run "one_zone_is_refused" {
  command = plan
  variables {
    subnet_ids = ["subnet-a"]
  }
  expect_failures = [var.subnet_ids]
}

run "a_name_aws_would_refuse_is_refused" {
  command = plan
  variables {
    name = "MLops"
  }
  expect_failures = [var.name]
}
