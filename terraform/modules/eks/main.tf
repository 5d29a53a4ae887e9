# The cluster: private by default, everything logged, secrets encrypted with a key of its own, people and roles let in by
# access entries (there is no aws-auth map to overwrite).

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
}

resource "aws_kms_key" "cluster" {
  #checkov:skip=CKV_AWS_33:The statement for volumes names every principal of this account, and only through EC2: the role that starts nodes does not exist before the first group does
  description             = "Secrets of the cluster ${var.cluster_name} and volumes of its nodes"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AccountDecidesThroughIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      # volumes of nodes are made by EC2 on behalf of whoever starts them, in this account only
      {
        Sid       = "VolumesOfNodes"
        Effect    = "Allow"
        Principal = { AWS = "*" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:ViaService" = "ec2.${local.region}.amazonaws.com", "kms:CallerAccount" = local.account } }
      },
    ]
  })
  tags = merge(var.tags, { Name = "${var.cluster_name}-cluster" })
}

resource "aws_kms_alias" "cluster" {
  name          = "alias/${var.cluster_name}-cluster"
  target_key_id = aws_kms_key.cluster.key_id
}

# made before the cluster, which would otherwise make one that is neither encrypted nor ever emptied
resource "aws_cloudwatch_log_group" "cluster" {
  #checkov:skip=CKV_AWS_338:Kept a year unless an environment says otherwise; development says 30 days
  name              = "/aws/eks/${var.cluster_name}/cluster"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

resource "aws_iam_role" "cluster" {
  name = "${var.cluster_name}-cluster"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "eks.amazonaws.com" } }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_security_group" "cluster" {
  name        = "${var.cluster_name}-control-plane"
  description = "Control plane of ${var.cluster_name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.cluster_name}-control-plane" })
}

resource "aws_eks_cluster" "this" {
  #checkov:skip=CKV_AWS_39:The public endpoint is off unless a list of addresses is given; 0.0.0.0/0 is refused by validation
  #checkov:skip=CKV_AWS_38:The list of addresses is validated; 0.0.0.0/0 is refused
  name                      = var.cluster_name
  version                   = var.kubernetes_version
  role_arn                  = aws_iam_role.cluster.arn
  enabled_cluster_log_types = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  # the platform says itself which add-ons there are
  bootstrap_self_managed_addons = var.manage_addons ? false : null
  tags                          = var.tags

  access_config {
    authentication_mode = "API"
    # who applied this is not silently an administrator for ever: administrators are listed
    bootstrap_cluster_creator_admin_permissions = false
  }

  vpc_config {
    subnet_ids              = var.private_subnet_ids
    security_group_ids      = [aws_security_group.cluster.id]
    endpoint_private_access = true
    endpoint_public_access  = length(var.public_access_cidrs) > 0
    public_access_cidrs     = length(var.public_access_cidrs) > 0 ? var.public_access_cidrs : null
  }

  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = aws_kms_key.cluster.arn
    }
  }

  depends_on = [aws_iam_role_policy_attachment.cluster, aws_cloudwatch_log_group.cluster]

  lifecycle {
    precondition {
      condition     = length(var.private_subnet_ids) >= 2
      error_message = "private_subnet_ids needs subnets in at least two zones: the control plane keeps an interface in each."
    }
  }
}

# for tools that cannot use Pod Identity yet; the platform's own roles do not need it
resource "aws_iam_openid_connect_provider" "cluster" {
  url            = aws_eks_cluster.this.identity[0].oidc[0].issuer
  client_id_list = ["sts.amazonaws.com"]
  tags           = merge(var.tags, { Name = var.cluster_name })
}

resource "aws_eks_access_entry" "this" {
  for_each = var.manage_access ? var.access_entries : {}

  cluster_name      = aws_eks_cluster.this.name
  principal_arn     = each.value.principal_arn
  kubernetes_groups = each.value.kubernetes_groups
  tags              = var.tags
}

resource "aws_eks_access_policy_association" "this" {
  for_each = var.manage_access ? { for name, entry in var.access_entries : name => entry if entry.policy != "" } : {}

  cluster_name  = aws_eks_cluster.this.name
  principal_arn = each.value.principal_arn
  policy_arn    = "arn:${local.partition}:eks::aws:cluster-access-policy/${each.value.policy}"

  access_scope {
    type       = length(each.value.namespaces) > 0 ? "namespace" : "cluster"
    namespaces = length(each.value.namespaces) > 0 ? each.value.namespaces : null
  }

  depends_on = [aws_eks_access_entry.this]
}
