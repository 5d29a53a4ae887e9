# Production. Every tier in three zones, standbys, private by default, audit locked for seven years.
environment = "production"
team        = "ml-platform"
cost_center = "cc-ml-platform"

vpc_cidr           = "10.1.0.0/16"
availability_zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
reserved_cidrs     = ["10.0.0.0/16", "10.2.0.0/16", "172.20.0.0/16"]
single_nat_gateway = false
interface_endpoints = [
  "ecr.api", "ecr.dkr", "sts", "ec2", "logs", "kms", "secretsmanager", "eks", "autoscaling", "sqs",
]

tenant_namespaces = [
  "tenant-data-science-production", "tenant-data-science-staging", "tenant-fraud-production", "tenant-fraud-staging",
  "tenant-recommendations-production", "tenant-recommendations-staging",
]

node_groups = {
  system = {
    instance_types = ["m5.2xlarge"]
    desired_size   = 3
    max_size       = 5
    disk_size      = 50
    taints         = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }]
  }
  compute = {
    instance_types = ["m5.4xlarge", "m5a.4xlarge", "m6i.4xlarge"]
    capacity_type  = "SPOT"
    desired_size   = 5
    min_size       = 5
    max_size       = 20
    disk_size      = 50
  }
  gpu = {
    instance_types = ["g4dn.2xlarge", "g4dn.4xlarge"]
    capacity_type  = "SPOT"
    desired_size   = 0
    min_size       = 0
    max_size       = 10
    disk_size      = 100
    taints         = [{ key = "nvidia.com/gpu", value = "true", effect = "NoSchedule" }]
  }
}

rds_instance_class     = "db.r5.xlarge"
rds_allocated_storage  = 500
backup_retention_days  = 30
multi_az               = true
online_store           = "redis"
online_store_node_type = "cache.r6g.xlarge"
audit_lock_days        = 2557
deletion_protection    = true
log_retention_days     = 365

monthly_budget_usd = 6000
team_emails        = ["ml-platform@example.com"]
lead_emails        = ["ml-platform-lead@example.com"]
owner_emails       = ["vp-data@example.com"]
