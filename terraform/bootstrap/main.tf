# Made once per account, by hand, before any environment: the bucket that holds every environment's state. Its own state
# stays on the machine that ran it; losing that loses nothing (`terraform import` finds a bucket again).

data "aws_caller_identity" "current" {}

locals {
  tags = { project = var.project, environment = "shared", team = var.team, cost-center = var.cost_center, managed-by = "terraform" }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }

  s3_use_path_style           = var.emulated_aws
  skip_credentials_validation = var.emulated_aws
  skip_metadata_api_check     = var.emulated_aws
}

module "key" {
  source = "../modules/kms"

  name = "${var.project}-terraform"
  keys = { state = { description = "Terraform states of ${var.project}" } }
}

module "state" {
  source = "../modules/s3"

  name        = var.project
  kms_key_arn = module.key.key_arns["state"]
  # old states are how a broken apply is undone, so they stay a year
  buckets       = { tfstate = { classification = "restricted", noncurrent_days = 365 } }
  force_destroy = var.emulated_aws
}
