# Managed node groups: system on demand and tainted, compute on spot, GPU tainted and empty until it is asked for.
# Karpenter adds nodes beyond them.

locals {
  # a taint of Kubernetes is spelled otherwise in EKS
  effects = { NoSchedule = "NO_SCHEDULE", NoExecute = "NO_EXECUTE", PreferNoSchedule = "PREFER_NO_SCHEDULE" }

  accelerated = { for name, group in var.node_groups : name => group if anytrue([for type in group.instance_types : can(regex("^(g|p)[0-9]", type))]) }
  untainted   = [for name, group in local.accelerated : name if length([for taint in group.taints : taint if taint.effect != "PreferNoSchedule"]) == 0]

  node_policies = toset(concat(
    ["AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"],
    # the network add-on has a role of its own wherever Pod Identity can be used
    var.manage_addons ? [] : ["AmazonEKS_CNI_Policy"],
  ))
}

resource "aws_iam_role" "node" {
  name = "${var.cluster_name}-node"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each = local.node_policies

  role       = aws_iam_role.node.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.key}"
}

resource "aws_security_group" "node" {
  name        = "${var.cluster_name}-node"
  description = "Nodes of ${var.cluster_name}"
  vpc_id      = var.vpc_id
  tags = merge(var.tags, {
    Name                                        = "${var.cluster_name}-node"
    "karpenter.sh/discovery"                    = var.cluster_name
    "kubernetes.io/cluster/${var.cluster_name}" = "owned"
  })
}

# pods talk to pods; network policies inside the cluster say which
resource "aws_vpc_security_group_ingress_rule" "node_to_node" {
  security_group_id            = aws_security_group.node.id
  description                  = "Between nodes; network policies decide between pods"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "-1"
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "control_plane_to_node" {
  for_each = { kubelet = 10250, webhooks = 9443, https = 443, metrics = 10251 }

  security_group_id            = aws_security_group.node.id
  description                  = "Control plane to ${each.key}"
  referenced_security_group_id = aws_security_group.cluster.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  tags                         = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "node_to_control_plane" {
  security_group_id            = aws_security_group.cluster.id
  description                  = "Nodes and pods to the API server"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "control_plane_to_node" {
  security_group_id            = aws_security_group.cluster.id
  description                  = "API server to kubelets and webhooks"
  referenced_security_group_id = aws_security_group.node.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 10251
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "node_inside" {
  security_group_id = aws_security_group.node.id
  description       = "Anything inside the VPC; its network ACLs say what databases accept"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "-1"
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "node_https" {
  security_group_id = aws_security_group.node.id
  description       = "HTTPS to AWS and registries, through NAT"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_launch_template" "this" {
  for_each = var.node_groups

  name_prefix            = "${var.cluster_name}-${each.key}-"
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.node.id]

  # tokens only, and one hop: a pod cannot take the node's credentials
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.disk_size
      iops                  = 3000
      throughput            = 125
      encrypted             = true
      kms_key_id            = aws_kms_key.cluster.arn
      delete_on_termination = true
    }
  }

  monitoring {
    enabled = true
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])
    content {
      resource_type = tag_specifications.key
      tags          = merge(var.tags, { Name = "${var.cluster_name}-${each.key}" })
    }
  }

  tags = merge(var.tags, { Name = "${var.cluster_name}-${each.key}" })
}

resource "aws_eks_node_group" "this" {
  for_each = var.node_groups

  cluster_name    = aws_eks_cluster.this.name
  node_group_name = each.key
  node_role_arn   = aws_iam_role.node.arn
  subnet_ids      = var.private_subnet_ids
  instance_types  = each.value.instance_types
  capacity_type   = each.value.capacity_type
  ami_type        = contains(keys(local.accelerated), each.key) ? "AL2023_x86_64_NVIDIA" : "AL2023_x86_64_STANDARD"
  labels          = merge({ "mlops.io/node-group" = each.key, "mlops.io/capacity" = lower(each.value.capacity_type) }, each.value.labels)
  tags            = merge(var.tags, { Name = "${var.cluster_name}-${each.key}" })

  scaling_config {
    desired_size = each.value.desired_size
    min_size     = coalesce(each.value.min_size, each.value.desired_size)
    max_size     = coalesce(each.value.max_size, max(each.value.desired_size, 1))
  }

  update_config {
    max_unavailable_percentage = 33
  }

  launch_template {
    id      = aws_launch_template.this[each.key].id
    version = aws_launch_template.this[each.key].latest_version
  }

  dynamic "taint" {
    for_each = each.value.taints
    content {
      key    = taint.value.key
      value  = taint.value.value
      effect = local.effects[taint.value.effect]
    }
  }

  lifecycle {
    # the autoscaler moves it
    ignore_changes = [scaling_config[0].desired_size]

    precondition {
      condition     = length(local.untainted) == 0
      error_message = "Node group ${join(", ", local.untainted)} has GPUs but no taint: every pod could land there and the most expensive nodes would never empty. Add taints = [{ key = \"nvidia.com/gpu\", value = \"true\", effect = \"NoSchedule\" }]."
    }
  }

  depends_on = [aws_iam_role_policy_attachment.node, aws_eks_addon.before_nodes]
}
