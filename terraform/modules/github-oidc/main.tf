# The pipeline's way in: GitHub signs who a job is, AWS believes it for an hour. No key is stored anywhere.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  host     = "token.actions.githubusercontent.com"
  account  = data.aws_caller_identity.current.account_id
  provider = var.create_provider ? aws_iam_openid_connect_provider.github[0].arn : "arn:${data.aws_partition.current.partition}:iam::${local.account}:oidc-provider/${local.host}"
}

# one per account: the first environment of an account makes it
resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_provider ? 1 : 0

  url            = "https://${local.host}"
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

resource "aws_iam_role" "deploy" {
  name                 = "${var.name}-deploy"
  description          = "Worn by GitHub jobs of ${var.repository} in the environment ${var.github_environment}"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider }
      Condition = {
        StringEquals = {
          "${local.host}:aud" = "sts.amazonaws.com"
          # exactly one environment of one repository: a fork or another branch says something else here
          "${local.host}:sub" = "repo:${var.repository}:environment:${var.github_environment}"
        }
      }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "deploy" {
  #checkov:skip=CKV_AWS_355:ecr:GetAuthorizationToken has no resource level
  #checkov:skip=CKV_AWS_290:ecr:GetAuthorizationToken has no resource level
  name = "push-images-and-reach-the-cluster"
  role = aws_iam_role.deploy.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      {
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:DescribeImageScanFindings", "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage",
          "ecr:UploadLayerPart",
        ]
        Resource = var.repository_arns
      },
      { Effect = "Allow", Action = ["eks:DescribeCluster"], Resource = [var.cluster_arn] },
    ]
  })
}
