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
    system = {
      instance_types = ["m5.large"]
      desired_size   = 3
      max_size       = 5
      taints         = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }]
    }
    compute = {
      instance_types = ["m5.xlarge", "m6i.xlarge"]
      capacity_type  = "SPOT"
      desired_size   = 2
      min_size       = 0
      max_size       = 5
    }
    gpu = {
      instance_types = ["g4dn.xlarge", "g4dn.2xlarge"]
      capacity_type  = "SPOT"
      desired_size   = 0
      min_size       = 0
      max_size       = 1
      disk_size      = 100
      taints         = [{ key = "nvidia.com/gpu", value = "true", effect = "NoSchedule" }]
    }
  }
}

run "system_nodes_are_on_demand_and_tainted" {
  command = plan

  assert {
    condition     = aws_eks_node_group.this["system"].capacity_type == "ON_DEMAND" && one(aws_eks_node_group.this["system"].taint).key == "CriticalAddonsOnly"
    error_message = "what holds the cluster together stays"
  }
}

run "compute_nodes_are_spot_of_several_types" {
  command = plan

  assert {
    condition     = aws_eks_node_group.this["compute"].capacity_type == "SPOT" && length(aws_eks_node_group.this["compute"].instance_types) == 2
    error_message = "one type's shortage does not stop the group"
  }
}

run "gpu_nodes_cost_nothing_until_asked_for" {
  command = plan

  assert {
    condition     = aws_eks_node_group.this["gpu"].scaling_config[0].desired_size == 0 && one(aws_eks_node_group.this["gpu"].taint).effect == "NO_SCHEDULE"
    error_message = "the group is empty and tainted"
  }
  assert {
    condition     = aws_eks_node_group.this["gpu"].ami_type == "AL2023_x86_64_NVIDIA" && aws_eks_node_group.this["compute"].ami_type == "AL2023_x86_64_STANDARD"
    error_message = "GPU nodes have drivers, others do not carry them"
  }
}

run "nodes_give_pods_no_credentials_and_encrypt_their_disks" {
  command = apply

  assert {
    condition     = alltrue([for template in aws_launch_template.this : template.metadata_options[0].http_tokens == "required" && template.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "IMDSv2 with one hop: a pod cannot take the node's role"
  }
  assert {
    condition     = alltrue([for template in aws_launch_template.this : template.block_device_mappings[0].ebs[0].encrypted == "true" && template.block_device_mappings[0].ebs[0].volume_type == "gp3" && template.block_device_mappings[0].ebs[0].kms_key_id == aws_kms_key.cluster.arn])
    error_message = "gp3 disks, encrypted with the cluster's key"
  }
  assert {
    condition     = aws_launch_template.this["gpu"].block_device_mappings[0].ebs[0].volume_size == 100
    error_message = "disks have the size that was asked for"
  }
}

run "nodes_leave_the_network_by_https_only" {
  command = plan

  assert {
    condition     = aws_vpc_security_group_egress_rule.node_https.from_port == 443 && aws_vpc_security_group_egress_rule.node_https.to_port == 443 && aws_vpc_security_group_egress_rule.node_inside.cidr_ipv4 == "10.0.0.0/16"
    error_message = "any port inside the VPC, HTTPS outside"
  }
}
