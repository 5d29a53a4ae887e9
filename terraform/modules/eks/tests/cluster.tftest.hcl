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
      taints         = [{ key = "nvidia.com/gpu", value = "true", effect = "NoSchedule" }]
    }
  }
}

run "the_cluster_is_private_and_logs_everything" {
  command = plan

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_private_access && !aws_eks_cluster.this.vpc_config[0].endpoint_public_access
    error_message = "without a list of addresses the API server is reachable from inside only"
  }
  assert {
    condition     = toset(aws_eks_cluster.this.enabled_cluster_log_types) == toset(["api", "audit", "authenticator", "controllerManager", "scheduler"])
    error_message = "every kind of control-plane log is on"
  }
  assert {
    condition     = aws_cloudwatch_log_group.cluster.kms_key_id == "arn:aws:kms:us-east-1:123456789012:key/logs"
    error_message = "control-plane logs are encrypted with our key"
  }
}

run "a_list_of_addresses_opens_the_endpoint_for_them_only" {
  command = plan

  variables {
    public_access_cidrs = ["203.0.113.0/24"]
  }
  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(["203.0.113.0/24"])
    error_message = "the endpoint is public for the listed addresses"
  }
}

run "secrets_are_encrypted_with_a_key_of_their_own_that_rotates" {
  command = apply

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"]) && aws_eks_cluster.this.encryption_config[0].provider[0].key_arn == aws_kms_key.cluster.arn
    error_message = "secrets are encrypted with the cluster's key"
  }
  assert {
    condition     = aws_kms_key.cluster.enable_key_rotation && aws_kms_key.cluster.deletion_window_in_days == 30
    error_message = "the key rotates and is not lost in a hurry"
  }
}

run "people_come_in_by_access_entries_only" {
  command = plan

  variables {
    access_entries = {
      admins = { principal_arn = "arn:aws:iam::123456789012:role/platform-admins", policy = "AmazonEKSClusterAdminPolicy" }
      fraud  = { principal_arn = "arn:aws:iam::123456789012:role/fraud", policy = "AmazonEKSViewPolicy", namespaces = ["team-fraud-detection"] }
      deploy = { principal_arn = "arn:aws:iam::123456789012:role/deploy", kubernetes_groups = ["deployers"] }
    }
  }
  assert {
    condition     = aws_eks_cluster.this.access_config[0].authentication_mode == "API" && !aws_eks_cluster.this.access_config[0].bootstrap_cluster_creator_admin_permissions
    error_message = "there is no aws-auth map, and who applies is not silently an administrator"
  }
  assert {
    condition     = length(aws_eks_access_entry.this) == 3 && length(aws_eks_access_policy_association.this) == 2
    error_message = "an entry each, and a policy where one is named"
  }
  assert {
    condition     = aws_eks_access_policy_association.this["fraud"].access_scope[0].type == "namespace" && aws_eks_access_policy_association.this["admins"].access_scope[0].type == "cluster"
    error_message = "a policy for namespaces is limited to them"
  }
}

run "add_ons_wear_their_own_roles" {
  command = apply

  assert {
    condition     = toset(concat(keys(aws_eks_addon.before_nodes), keys(aws_eks_addon.after_nodes))) == toset(["vpc-cni", "kube-proxy", "eks-pod-identity-agent", "coredns", "metrics-server", "aws-ebs-csi-driver", "aws-efs-csi-driver"])
    error_message = "six add-ons"
  }
  assert {
    condition     = jsondecode(aws_eks_addon.before_nodes["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "network policies are enforced by the network add-on"
  }
  assert {
    condition     = one(aws_eks_addon.after_nodes["aws-ebs-csi-driver"].pod_identity_association).service_account == "ebs-csi-controller-sa"
    error_message = "the volume driver has its role by Pod Identity"
  }
  assert {
    condition     = toset([for attachment in aws_iam_role_policy_attachment.node : split("/", attachment.policy_arn)[1]]) == toset(["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"])
    error_message = "nodes have neither the network add-on's rights nor read parameters"
  }
  assert {
    condition = alltrue([for role in concat(values(aws_iam_role.addon), [aws_iam_role.karpenter]) :
      jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["aws:RequestTag/kubernetes-namespace"] == "kube-system"
    ])
    error_message = "roles of add-ons are worn in kube-system of this cluster only"
  }
}

run "karpenter_listens_to_an_encrypted_queue" {
  command = apply

  assert {
    condition     = aws_sqs_queue.interruptions.kms_master_key_id == "arn:aws:kms:us-east-1:123456789012:key/events" && length(aws_cloudwatch_event_target.interruptions) == 4
    error_message = "four kinds of events reach the encrypted queue"
  }
  assert {
    condition     = aws_eks_pod_identity_association.karpenter[0].namespace == "kube-system" && aws_eks_pod_identity_association.karpenter[0].service_account == "karpenter"
    error_message = "Karpenter runs as kube-system/karpenter"
  }
  assert {
    condition     = length([for statement in jsondecode(aws_iam_role_policy.karpenter.policy).Statement : statement if contains(statement.Action, "ec2:TerminateInstances") && !can(statement.Condition.StringEquals["aws:ResourceTag/kubernetes.io/cluster/mlops-test"])]) == 0
    error_message = "Karpenter ends only what belongs to its cluster"
  }
}
