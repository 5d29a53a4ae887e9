# Staging: production's shape at a tenth of its size, so that what is tried here is what will happen there.
environment = "staging"
team        = "ml-platform"
cost_center = "cc-ml-platform"

vpc_cidr            = "10.2.0.0/16"
availability_zones  = ["us-east-1a", "us-east-1b", "us-east-1c"]
reserved_cidrs      = ["10.0.0.0/16", "10.1.0.0/16", "172.20.0.0/16"]
single_nat_gateway  = true
interface_endpoints = ["ecr.api", "ecr.dkr", "sts"]

tenant_namespaces = [
  "tenant-data-science-production", "tenant-data-science-staging", "tenant-fraud-production", "tenant-fraud-staging",
  "tenant-recommendations-production", "tenant-recommendations-staging",
]

node_groups = {
  system = {
    instance_types = ["m5.xlarge"]
    desired_size   = 3
    max_size       = 5
    disk_size      = 50
    taints         = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }]
  }
  compute = {
    instance_types = ["m5.2xlarge", "m5a.2xlarge", "m6i.2xlarge"]
    capacity_type  = "SPOT"
    desired_size   = 2
    min_size       = 1
    max_size       = 8
    disk_size      = 50
  }
  gpu = {
    instance_types = ["g4dn.xlarge", "g4dn.2xlarge"]
    capacity_type  = "SPOT"
    desired_size   = 0
    min_size       = 0
    max_size       = 2
    disk_size      = 100
    taints         = [{ key = "nvidia.com/gpu", value = "true", effect = "NoSchedule" }]
  }
}

rds_instance_class     = "db.r5.large"
rds_allocated_storage  = 100
backup_retention_days  = 14
multi_az               = true
online_store           = "redis"
online_store_node_type = "cache.r6g.large"
audit_lock_days        = 30
deletion_protection    = true
log_retention_days     = 90

monthly_budget_usd = 2600
team_emails        = ["ml-platform@example.com"]
lead_emails        = ["ml-platform-lead@example.com"]
owner_emails       = ["vp-data@example.com"]
