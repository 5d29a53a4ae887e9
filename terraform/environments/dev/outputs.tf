output "vpc_id" {
  description = "VPC."
  value       = module.vpc.vpc_id
}

output "cluster_name" {
  description = "`aws eks update-kubeconfig --name <this>`."
  value       = module.eks.cluster_name
}

output "eks_cluster_endpoint" {
  description = "URL of the API server."
  value       = module.eks.cluster_endpoint
}

output "rds_endpoint" {
  description = "Host and port of PostgreSQL."
  value       = module.rds.endpoint
}

output "bucket_names" {
  description = "Buckets, by short name."
  value       = module.s3.bucket_names
}

output "table_names" {
  description = "Tables, by short name."
  value       = module.dynamodb.table_names
}

output "role_arns" {
  description = "Roles of workloads, by workload."
  value       = module.iam.role_arns
}

output "ecr_repository_urls" {
  description = "Image repositories, by image."
  value       = module.ecr.repository_urls
}

output "alarm_topic_arn" {
  description = "Topic every alarm goes to."
  value       = module.monitoring.alarm_topic_arn
}

output "name_servers" {
  description = "What the parent zone must delegate to; empty without a domain."
  value       = var.domain == "" ? [] : module.dns_acm[0].name_servers
}

# what the next steps of the guide consume: terraform/scripts/export_outputs.py writes it beside the manifests
locals {
  role_arns = merge(module.iam.role_arns, {
    karpenter = module.eks.karpenter_role_arn
    ebs-csi   = module.eks.addon_role_arns["aws-ebs-csi-driver"]
    deploy    = var.github_repository == "" ? "" : module.github_oidc[0].deploy_role_arn
  })

  kustomize_env = merge(
    {
      CLUSTER_NAME          = module.eks.cluster_name
      AWS_REGION            = var.region
      AWS_ACCOUNT_ID        = data.aws_caller_identity.current.account_id
      VPC_ID                = module.vpc.vpc_id
      VPC_CIDR              = var.vpc_cidr
      EFS_FILE_SYSTEM_ID    = module.efs.file_system_id
      OIDC_ISSUER           = var.oidc_issuer
      NODE_ROLE_NAME        = module.eks.node_iam_role_name
      NODE_INSTANCE_PROFILE = module.eks.node_instance_profile_name
      INTERRUPTION_QUEUE    = module.eks.interruption_queue_name
      RDS_ENDPOINT          = module.rds.endpoint
      RDS_HOST              = module.rds.address
      RDS_SECRET_ARN        = module.rds.master_user_secret_arn
      ARTIFACTS_BUCKET      = module.s3.bucket_names["artifacts"]
      DATA_LAKE_BUCKET      = module.s3.bucket_names["data-lake"]
      PREDICTION_LOG_BUCKET = module.s3.bucket_names["prediction-log"]
      AUDIT_BUCKET          = module.s3.bucket_names["audit"]
      BACKUPS_BUCKET        = module.s3.bucket_names["backups"]
      BACKUPS_KEY_ARN       = module.keys.key_arns["backups"]
      SCRATCH_BUCKET        = module.s3.bucket_names["restore-scratch"]
      RDS_INSTANCE          = module.rds.identifier
      AUDIT_TABLE           = module.dynamodb.table_names["audit-log"]
      STATEMENTS_KEY_ARN    = module.keys.key_arns["statements"]
      STATEMENTS_PUBLIC_KEY = module.keys.public_keys["statements"]
      REDIS_ENDPOINT        = local.redis ? "${module.elasticache[0].primary_endpoint}:${module.elasticache[0].port}" : ""
      REDIS_USER            = local.redis ? module.elasticache[0].user_name : ""
      REDIS_GROUP           = local.redis ? module.elasticache[0].replication_group_id : ""
      SECRETS_PREFIX        = "${var.project}/${var.environment}"
      ECR_REGISTRY          = split("/", module.ecr.repository_urls["mlops-api"])[0]
      ECR_API_URL           = module.ecr.repository_urls["mlops-api"]
      ECR_WORKER_URL        = module.ecr.repository_urls["mlops-worker"]
      ECR_MODEL_SERVER_URL  = module.ecr.repository_urls["model-server"]
      ECR_MLFLOW_URL        = module.ecr.repository_urls["mlflow"]
      DOMAIN                = var.domain
      CERTIFICATE_ARN       = var.domain == "" ? "" : module.dns_acm[0].certificate_arn
    },
    { for workload, arn in local.role_arns : "ROLE_ARN_${upper(replace(workload, "-", "_"))}" => arn },
  )
}

output "kustomize_env" {
  description = "Everything the manifests need, as KEY=value lines for a kustomize configMapGenerator. Holds no secret."
  value       = join("\n", [for key, value in local.kustomize_env : "${key}=${value == null ? "" : value}"])
}
