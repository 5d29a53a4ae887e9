# One environment of the platform. This file is the same in every environment (a test compares them); what differs is in
# terraform.tfvars.

data "aws_caller_identity" "current" {}

data "aws_iam_session_context" "applier" {
  arn = data.aws_caller_identity.current.arn
}

locals {
  name = "${var.project}-${var.environment}"

  tags = {
    project     = var.project
    environment = var.environment
    team        = var.team
    cost-center = var.cost_center
    managed-by  = "terraform"
  }

  production = var.environment == "production"
  redis      = var.online_store == "redis" && !var.emulated_aws

  # who applies this may look into the cluster where the environment says so, by role and not by session
  applier = var.admit_applier ? {
    applier = { principal_arn = data.aws_iam_session_context.applier.issuer_arn, policy = "AmazonEKSClusterAdminPolicy", namespaces = [], kubernetes_groups = [] }
  } : {}
}

# what must hold of a whole environment, whatever module it concerns
resource "terraform_data" "promises" {
  input = local.name

  lifecycle {
    precondition {
      condition     = !local.production || length(var.availability_zones) >= 3
      error_message = "Production needs three availability_zones, not ${length(var.availability_zones)}: with two, losing one leaves no quorum for what keeps three replicas."
    }
    precondition {
      condition     = !local.production || !var.single_nat_gateway
      error_message = "Production needs a NAT gateway per zone: set single_nat_gateway = false."
    }
    precondition {
      condition     = !local.production || (var.multi_az && var.deletion_protection)
      error_message = "Production needs multi_az = true and deletion_protection = true: it keeps what cannot be made again."
    }
    precondition {
      condition     = !local.production || !var.admit_applier
      error_message = "Production lists its administrators in access_entries: set admit_applier = false, so that the pipeline's role is none."
    }
    precondition {
      condition     = var.online_store != "dynamodb" || length(var.online_store_views) > 0
      error_message = "online_store is dynamodb, so online_store_views must name the feature views to keep there, as project.view."
    }
    precondition {
      condition     = !local.production || !var.emulated_aws
      error_message = "emulated_aws leaves out access entries, add-ons and Pod Identity. It is for tests and never for production."
    }
  }
}

module "keys" {
  source = "../../modules/kms"

  name = local.name
  keys = {
    data       = { description = "Buckets, tables and images of ${local.name}" }
    database   = { description = "PostgreSQL and the online store of ${local.name}", services = ["rds.amazonaws.com"] }
    secrets    = { description = "Secrets of ${local.name}" }
    logs       = { description = "Log groups of ${local.name}", cloudwatch_logs = true }
    statements = { description = "Signs statements of approval of ${local.name}", signing = true }
    backups    = { description = "Signs manifests of backups of ${local.name}", signing = true }
    events = {
      description = "Queues and topics of ${local.name}"
      services    = ["events.amazonaws.com", "cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com", "sns.amazonaws.com"]
    }
  }
}

module "vpc" {
  source = "../../modules/vpc"

  name                     = local.name
  vpc_cidr                 = var.vpc_cidr
  availability_zones       = var.availability_zones
  reserved_cidrs           = var.reserved_cidrs
  cluster_name             = local.name
  single_nat_gateway       = var.single_nat_gateway
  interface_endpoints      = var.interface_endpoints
  flow_logs_retention_days = var.log_retention_days
  kms_key_arn              = module.keys.key_arns["logs"]
}

module "eks" {
  source = "../../modules/eks"

  cluster_name        = local.name
  kubernetes_version  = var.kubernetes_version
  vpc_id              = module.vpc.vpc_id
  vpc_cidr            = var.vpc_cidr
  private_subnet_ids  = module.vpc.private_subnet_ids
  public_access_cidrs = var.public_access_cidrs
  access_entries      = merge(local.applier, var.access_entries)
  node_groups         = var.node_groups
  log_retention_days  = var.log_retention_days
  log_kms_key_arn     = module.keys.key_arns["logs"]
  events_kms_key_arn  = module.keys.key_arns["events"]
  manage_addons       = !var.emulated_aws
  manage_access       = !var.emulated_aws
}

module "monitoring" {
  source = "../../modules/monitoring"

  name               = local.name
  environment        = var.environment
  monthly_budget_usd = var.monthly_budget_usd
  team_emails        = var.team_emails
  lead_emails        = var.lead_emails
  owner_emails       = var.owner_emails
  log_retention_days = var.log_retention_days
  log_kms_key_arn    = module.keys.key_arns["logs"]
  events_kms_key_arn = module.keys.key_arns["events"]
  manage_cost_alerts = !var.emulated_aws
}

module "s3" {
  source = "../../modules/s3"

  name          = local.name
  kms_key_arn   = module.keys.key_arns["data"]
  force_destroy = !var.deletion_protection
  buckets = {
    # runs' files and built bundles; overwritten versions go after a quarter
    artifacts = {
      classification = "confidential"
      tiers          = [{ days = 90, storage_class = "STANDARD_IA" }, { days = 365, storage_class = "GLACIER_IR" }]
    }
    # zones raw, processed, features and registry, by prefix: warm after 90 days, cold after a year, archive after seven
    data-lake = {
      classification = "confidential"
      tiers          = [{ days = 90, storage_class = "STANDARD_IA" }, { days = 365, storage_class = "GLACIER_IR" }, { days = 2557, storage_class = "DEEP_ARCHIVE" }]
    }
    # answered predictions: needed for drift and labels, rarely after a quarter
    prediction-log = {
      classification  = "confidential"
      tiers           = [{ days = 90, storage_class = "STANDARD_IA" }]
      noncurrent_days = 40
    }
    # manifests of backups, and records of restore tests: written once, locked for as long as RDS can go back
    backups = {
      classification   = "restricted"
      expire_days      = 400
      noncurrent_days  = 40
      object_lock_days = var.backup_retention_days
      object_lock_mode = local.production ? "COMPLIANCE" : "GOVERNANCE"
    }
    # where restore tests put a sample of objects, and remove it again
    restore-scratch = { classification = "confidential", expire_days = 7, noncurrent_days = 1 }
    # signed heads of the audit log: written once, seven years
    audit = {
      classification   = "restricted"
      tiers            = [{ days = 90, storage_class = "STANDARD_IA" }, { days = 365, storage_class = "GLACIER" }, { days = 2557, storage_class = "DEEP_ARCHIVE" }]
      noncurrent_days  = 0
      object_lock_days = var.audit_lock_days
      object_lock_mode = local.production ? "COMPLIANCE" : "GOVERNANCE"
    }
  }
}

module "dynamodb" {
  source = "../../modules/dynamodb"

  name                = local.name
  kms_key_arn         = module.keys.key_arns["data"]
  online_store_views  = var.online_store == "dynamodb" ? var.online_store_views : []
  deletion_protection = var.deletion_protection
}

module "rds" {
  source = "../../modules/rds"

  name                   = local.name
  vpc_id                 = module.vpc.vpc_id
  subnet_ids             = module.vpc.database_subnet_ids
  client_security_groups = { nodes = module.eks.node_security_group_id }
  instance_class         = var.rds_instance_class
  allocated_storage      = var.rds_allocated_storage
  multi_az               = var.multi_az
  backup_retention_days  = var.backup_retention_days
  deletion_protection    = var.deletion_protection
  kms_key_arn            = module.keys.key_arns["database"]
  log_kms_key_arn        = module.keys.key_arns["logs"]
  log_retention_days     = var.log_retention_days
  alarm_topic_arns       = [module.monitoring.alarm_topic_arn]
}

module "elasticache" {
  source = "../../modules/elasticache"
  count  = local.redis ? 1 : 0

  name                   = local.name
  vpc_id                 = module.vpc.vpc_id
  subnet_ids             = module.vpc.database_subnet_ids
  client_security_groups = { nodes = module.eks.node_security_group_id }
  node_type              = var.online_store_node_type
  multi_az               = var.multi_az
  kms_key_arn            = module.keys.key_arns["database"]
  log_kms_key_arn        = module.keys.key_arns["logs"]
  log_retention_days     = var.log_retention_days
}

module "efs" {
  source = "../../modules/efs"

  name                   = local.name
  vpc_id                 = module.vpc.vpc_id
  subnet_ids             = module.vpc.private_subnet_ids
  client_security_groups = { nodes = module.eks.node_security_group_id }
  kms_key_arn            = module.keys.key_arns["data"]
  manage_policies        = !var.emulated_aws
}

module "ecr" {
  source = "../../modules/ecr"

  name         = local.name
  kms_key_arn  = module.keys.key_arns["data"]
  force_delete = !var.deletion_protection
}

module "secrets" {
  source = "../../modules/secrets"

  prefix                  = "${var.project}/${var.environment}"
  kms_key_arn             = module.keys.key_arns["secrets"]
  recovery_window_in_days = var.deletion_protection ? 30 : 0
  secrets = {
    audit-signing-key  = { description = "Ed25519 key (PEM) that signs heads of the audit log; a person puts it here: openssl genpkey -algorithm ed25519" }
    mlflow-database    = { description = "User and password (JSON) of MLflow's own database, where it has one; a person puts it here" }
    subject-hash-key   = { description = "Keys the hashes that stand for people in the audit log", generate_length = 64 }
    scrape-token       = { description = "What Prometheus sends to read the metrics of the API", generate_length = 64 }
    grafana-admin      = { description = "First administrator of Grafana", generate_length = 40 }
    oidc-client-secret = { description = "Secret of MLflow's client at the identity provider; a person puts it here" }
    console-client     = { description = "Secret of the console's client at the identity provider; a person puts it here" }
    smtp-password      = { description = "Password of the platform's account at the mail server; a person puts it here" }
    webhook-secret     = { description = "Key of signed webhooks (whsec_ and base64 of 24 bytes or more); a person puts it here" }
    slack-webhook      = { description = "Where alerts and approvals are announced; a person puts it here" }
  }
}

module "iam" {
  source = "../../modules/iam"

  name                      = local.name
  cluster_name              = module.eks.cluster_name
  tenant_namespaces         = var.tenant_namespaces
  bucket_arns               = module.s3.bucket_arns
  table_arns                = module.dynamodb.table_arns
  online_store_connect_arns = local.redis ? module.elasticache[0].connect_arns : []
  data_kms_key_arn          = module.keys.key_arns["data"]
  secrets_kms_key_arn       = module.keys.key_arns["secrets"]
  statements_kms_key_arn    = module.keys.key_arns["statements"]
  backups_kms_key_arn       = module.keys.key_arns["backups"]
  database_instance         = module.rds.identifier
  database_kms_key_arn      = module.keys.key_arns["database"]
  secrets_prefix            = "${var.project}/${var.environment}"
  extra_secret_arns         = compact([module.rds.master_user_secret_arn])
  manage_access             = !var.emulated_aws
}

module "github_oidc" {
  source = "../../modules/github-oidc"
  count  = var.github_repository == "" ? 0 : 1

  name               = local.name
  repository         = var.github_repository
  github_environment = var.environment
  create_provider    = var.create_github_provider
  repository_arns    = values(module.ecr.repository_arns)
  cluster_arn        = module.eks.cluster_arn
}

module "dns_acm" {
  source = "../../modules/dns-acm"
  count  = var.domain == "" ? 0 : 1

  name                 = local.name
  domain               = var.domain
  wait_for_certificate = var.wait_for_certificate
  force_destroy        = !var.deletion_protection
}
