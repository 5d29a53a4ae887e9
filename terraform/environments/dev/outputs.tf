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

# what the next steps of the guide consume; `terraform/scripts/export-outputs` writes it beside the manifests
output "platform_env" {
  description = "Everything the manifests need, as KEY=value lines for a kustomize configMapGenerator."
  value = join("\n", [for key, value in {
    AWS_REGION             = var.region
    CLUSTER_NAME           = module.eks.cluster_name
    VPC_ID                 = module.vpc.vpc_id
    NODE_ROLE_NAME         = module.eks.node_iam_role_name
    INTERRUPTION_QUEUE     = module.eks.interruption_queue_name
    RDS_HOST               = module.rds.address
    RDS_SECRET_ARN         = module.rds.master_user_secret_arn
    ONLINE_STORE_HOST      = var.online_store == "redis" ? module.elasticache[0].primary_endpoint : ""
    ONLINE_STORE_USER      = var.online_store == "redis" ? module.elasticache[0].user_name : ""
    ONLINE_STORE_TABLE     = lookup(module.dynamodb.table_names, "online-store", "")
    ARTIFACTS_BUCKET       = module.s3.bucket_names["artifacts"]
    DATA_LAKE_BUCKET       = module.s3.bucket_names["data-lake"]
    PREDICTION_LOG_BUCKET  = module.s3.bucket_names["prediction-log"]
    AUDIT_BUCKET           = module.s3.bucket_names["audit"]
    AUDIT_TABLE            = module.dynamodb.table_names["audit-log"]
    APPROVALS_TABLE        = module.dynamodb.table_names["approvals"]
    SECRETS_PREFIX         = "${var.project}/${var.environment}"
    API_IMAGE              = module.ecr.repository_urls["mlops-api"]
    MODEL_SERVER_IMAGE     = module.ecr.repository_urls["model-server"]
    MLFLOW_IMAGE           = module.ecr.repository_urls["mlflow"]
    DOMAIN                 = var.domain
    CERTIFICATE_ARN        = var.domain == "" ? "" : module.dns_acm[0].certificate_arn
    DEPLOY_ROLE_ARN        = var.github_repository == "" ? "" : module.github_oidc[0].deploy_role_arn
    MLFLOW_ROLE_ARN        = module.iam.role_arns["mlflow"]
    PLATFORM_API_ROLE_ARN  = module.iam.role_arns["platform-api"]
    MODEL_SERVING_ROLE_ARN = module.iam.role_arns["model-serving"]
    FEAST_ROLE_ARN         = module.iam.role_arns["feast"]
    EXTERNAL_SECRETS_ROLE  = module.iam.role_arns["external-secrets"]
    LOAD_BALANCER_ROLE_ARN = module.iam.role_arns["load-balancer-controller"]
    COST_EXPORTER_ROLE_ARN = module.iam.role_arns["cost-exporter"]
  } : "${key}=${value == null ? "" : value}"])
}
