# What Karpenter needs: a role for itself, nodes' role as instance profile, and a queue that tells it about spot
# interruptions two minutes ahead. Its NodePools are Kubernetes objects.

locals {
  owned = { StringEquals = { "aws:ResourceTag/kubernetes.io/cluster/${var.cluster_name}" = "owned" } }

  karpenter_statements = [
    {
      Sid      = "Look"
      Effect   = "Allow"
      Resource = "*"
      Action = [
        "ec2:DescribeAvailabilityZones", "ec2:DescribeCapacityReservations", "ec2:DescribeImages", "ec2:DescribeInstances",
        "ec2:DescribeInstanceStatus", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplates", "ec2:DescribeSecurityGroups",
        "ec2:DescribeSpotPriceHistory", "ec2:DescribeSubnets", "pricing:GetProducts",
      ]
      Condition = { StringEquals = { "aws:RequestedRegion" = [local.region, "us-east-1"] } }
    },
    {
      Sid    = "StartFromOurParts"
      Effect = "Allow"
      Action = ["ec2:RunInstances", "ec2:CreateFleet"]
      Resource = [
        "arn:${local.partition}:ec2:${local.region}:${local.account}:security-group/*",
        "arn:${local.partition}:ec2:${local.region}:${local.account}:subnet/*",
      ]
      Condition = { StringEquals = { "aws:ResourceTag/karpenter.sh/discovery" = var.cluster_name } }
    },
    {
      Sid      = "StartFromImages"
      Effect   = "Allow"
      Action   = ["ec2:RunInstances", "ec2:CreateFleet"]
      Resource = ["arn:${local.partition}:ec2:${local.region}::image/*", "arn:${local.partition}:ec2:${local.region}::snapshot/*"]
    },
    {
      Sid    = "StartOwnedThings"
      Effect = "Allow"
      Action = ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"]
      Resource = [for kind in ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"] :
        "arn:${local.partition}:ec2:${local.region}:${local.account}:${kind}/*"
      ]
      Condition = { StringEquals = { "aws:RequestTag/kubernetes.io/cluster/${var.cluster_name}" = "owned" } }
    },
    {
      Sid       = "StartFromOwnedTemplates"
      Effect    = "Allow"
      Action    = ["ec2:RunInstances", "ec2:CreateFleet"]
      Resource  = ["arn:${local.partition}:ec2:${local.region}:${local.account}:launch-template/*"]
      Condition = local.owned
    },
    {
      Sid    = "TagWhileStarting"
      Effect = "Allow"
      Action = ["ec2:CreateTags"]
      Resource = [for kind in ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"] :
        "arn:${local.partition}:ec2:${local.region}:${local.account}:${kind}/*"
      ]
      Condition = { StringEquals = { "ec2:CreateAction" = ["RunInstances", "CreateFleet", "CreateLaunchTemplate"] } }
    },
    {
      Sid      = "NameOwnedNodes"
      Effect   = "Allow"
      Action   = ["ec2:CreateTags"]
      Resource = ["arn:${local.partition}:ec2:${local.region}:${local.account}:instance/*"]
      Condition = {
        StringEquals                = { "aws:ResourceTag/kubernetes.io/cluster/${var.cluster_name}" = "owned" }
        "ForAllValues:StringEquals" = { "aws:TagKeys" = ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"] }
      }
    },
    {
      Sid    = "EndOwnedThings"
      Effect = "Allow"
      Action = ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"]
      Resource = [for kind in ["instance", "launch-template"] :
        "arn:${local.partition}:ec2:${local.region}:${local.account}:${kind}/*"
      ]
      Condition = local.owned
    },
    {
      Sid       = "HandNodesTheirRole"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = [aws_iam_role.node.arn]
      Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
    },
    {
      Sid      = "ReadInstanceProfile"
      Effect   = "Allow"
      Action   = ["iam:GetInstanceProfile"]
      Resource = [aws_iam_instance_profile.node.arn]
    },
    {
      Sid      = "FindTheCluster"
      Effect   = "Allow"
      Action   = ["eks:DescribeCluster"]
      Resource = ["arn:${local.partition}:eks:${local.region}:${local.account}:cluster/${var.cluster_name}"]
    },
    {
      Sid      = "FindImages"
      Effect   = "Allow"
      Action   = ["ssm:GetParameter"]
      Resource = ["arn:${local.partition}:ssm:${local.region}::parameter/aws/service/eks/*"]
    },
    {
      Sid      = "HearOfInterruptions"
      Effect   = "Allow"
      Action   = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
      Resource = [aws_sqs_queue.interruptions.arn]
    },
  ]

  interruption_events = {
    spot-interruption = { source = "aws.ec2", detail-type = "EC2 Spot Instance Interruption Warning" }
    rebalance         = { source = "aws.ec2", detail-type = "EC2 Instance Rebalance Recommendation" }
    state-change      = { source = "aws.ec2", detail-type = "EC2 Instance State-change Notification" }
    health            = { source = "aws.health", detail-type = "AWS Health Event" }
  }
}

resource "aws_iam_role" "karpenter" {
  name               = "${var.cluster_name}-karpenter"
  assume_role_policy = local.pod_identity_trust
  tags               = var.tags
}

resource "aws_iam_role_policy" "karpenter" {
  name   = "nodes"
  role   = aws_iam_role.karpenter.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.karpenter_statements })
}

resource "aws_eks_pod_identity_association" "karpenter" {
  count = var.manage_access ? 1 : 0

  cluster_name    = aws_eks_cluster.this.name
  namespace       = "kube-system"
  service_account = "karpenter"
  role_arn        = aws_iam_role.karpenter.arn
  tags            = var.tags
}

# nodes that Karpenter starts wear the managed groups' role, for which EKS made an access entry with the first group
resource "aws_iam_instance_profile" "node" {
  name = "${var.cluster_name}-node"
  role = aws_iam_role.node.name
  tags = var.tags
}

resource "aws_sqs_queue" "interruptions" {
  name                              = "${var.cluster_name}-interruptions"
  message_retention_seconds         = 300
  kms_master_key_id                 = var.events_kms_key_arn
  kms_data_key_reuse_period_seconds = 300
  tags                              = var.tags
}

resource "aws_sqs_queue_policy" "interruptions" {
  queue_url = aws_sqs_queue.interruptions.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "EventsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { ArnLike = { "aws:SourceArn" = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${var.cluster_name}-*" } }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_cloudwatch_event_rule" "interruptions" {
  for_each = local.interruption_events

  name          = "${var.cluster_name}-${each.key}"
  description   = "To Karpenter: ${each.value.detail-type}"
  event_pattern = jsonencode({ source = [each.value.source], "detail-type" = [each.value.detail-type] })
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "interruptions" {
  for_each = local.interruption_events

  rule = aws_cloudwatch_event_rule.interruptions[each.key].name
  arn  = aws_sqs_queue.interruptions.arn
}
