mock_provider "aws" {
  source = "../../testing"
}

variables {
  cluster_name       = "mlops-test"
  vpc_id             = "vpc-0123456789abcdef0"
  vpc_cidr           = "10.0.0.0/16"
  private_subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
  log_kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/logs"
  events_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/events"
  node_groups = {
    system = { instance_types = ["m5.large"], desired_size = 3, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
  }
}

run "an_endpoint_open_to_the_world_is_refused" {
  command = plan
  variables {
    public_access_cidrs = ["0.0.0.0/0"]
  }
  expect_failures = [var.public_access_cidrs]
}

run "half_of_the_world_is_refused_too" {
  command = plan
  variables {
    public_access_cidrs = ["0.0.0.0/1", "128.0.0.0/1"]
  }
  expect_failures = [var.public_access_cidrs]
}

run "an_address_that_is_none_is_refused" {
  command = plan
  variables {
    public_access_cidrs = ["the office"]
  }
  expect_failures = [var.public_access_cidrs]
}

run "one_subnet_is_refused" {
  command = plan
  variables {
    private_subnet_ids = ["subnet-a"]
  }
  expect_failures = [aws_eks_cluster.this]
}

run "an_old_kubernetes_is_refused" {
  command = plan
  variables {
    kubernetes_version = "1.32"
  }
  expect_failures = [var.kubernetes_version]
}

run "gpus_without_a_taint_are_refused" {
  command = plan
  variables {
    node_groups = {
      system = { instance_types = ["m5.large"], desired_size = 3, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
      gpu    = { instance_types = ["g4dn.xlarge"], desired_size = 0, min_size = 0 }
    }
  }
  expect_failures = [aws_eks_node_group.this]
}

run "a_taint_that_only_asks_is_no_taint" {
  command = plan
  variables {
    node_groups = {
      system = { instance_types = ["m5.large"], desired_size = 3, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
      gpu    = { instance_types = ["g4dn.xlarge"], desired_size = 0, min_size = 0, taints = [{ key = "nvidia.com/gpu", effect = "PreferNoSchedule" }] }
    }
  }
  expect_failures = [aws_eks_node_group.this]
}

run "an_unknown_instance_class_is_refused" {
  command = plan
  variables {
    node_groups = {
      system = { instance_types = ["m5.huge"], desired_size = 3, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
    }
  }
  expect_failures = [var.node_groups]
}

run "arm_nodes_are_refused_while_images_are_not_built_for_them" {
  command = plan
  variables {
    node_groups = {
      system = { instance_types = ["m6g.large"], desired_size = 3, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
    }
  }
  expect_failures = [var.node_groups]
}

run "a_cluster_without_system_nodes_is_refused" {
  command = plan
  variables {
    node_groups = {
      compute = { instance_types = ["m5.large"], desired_size = 3 }
    }
  }
  expect_failures = [var.node_groups]
}

run "system_nodes_on_the_spot_market_are_refused" {
  command = plan
  variables {
    node_groups = {
      system = { instance_types = ["m5.large", "m5a.large"], capacity_type = "SPOT", desired_size = 3, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
    }
  }
  expect_failures = [var.node_groups]
}

run "spot_nodes_of_one_type_are_refused" {
  command = plan
  variables {
    node_groups = {
      system  = { instance_types = ["m5.large"], desired_size = 3, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
      compute = { instance_types = ["m5.xlarge"], capacity_type = "SPOT", desired_size = 1 }
    }
  }
  expect_failures = [var.node_groups]
}

run "a_group_larger_than_its_maximum_is_refused" {
  command = plan
  variables {
    node_groups = {
      system = { instance_types = ["m5.large"], desired_size = 6, max_size = 5, taints = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }] }
    }
  }
  expect_failures = [var.node_groups]
}

run "an_effect_kubernetes_does_not_know_is_refused" {
  command = plan
  variables {
    node_groups = {
      system = { instance_types = ["m5.large"], desired_size = 3, taints = [{ key = "CriticalAddonsOnly", effect = "GoAway" }] }
    }
  }
  expect_failures = [var.node_groups]
}

run "logs_without_a_key_are_refused" {
  command = plan
  variables {
    log_kms_key_arn = ""
  }
  expect_failures = [var.log_kms_key_arn]
}

run "events_without_a_key_are_refused" {
  command = plan
  variables {
    events_kms_key_arn = ""
  }
  expect_failures = [var.events_kms_key_arn]
}

run "an_entry_that_allows_nothing_is_refused" {
  command = plan
  variables {
    access_entries = { nobody = { principal_arn = "arn:aws:iam::123456789012:role/nobody" } }
  }
  expect_failures = [var.access_entries]
}
