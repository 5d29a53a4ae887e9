# Development: the smallest size. One NAT gateway, no standbys, AWS services reached through NAT; may be destroyed at any time.
environment = "dev"
team        = "ml-platform"
cost_center = "cc-ml-platform"

vpc_cidr            = "10.0.0.0/16"
availability_zones  = ["us-east-1a", "us-east-1b", "us-east-1c"]
reserved_cidrs      = ["10.1.0.0/16", "10.2.0.0/16", "172.20.0.0/16"]
single_nat_gateway  = true
interface_endpoints = []

# who applies may use kubectl; from outside the VPC also set public_access_cidrs, for example by
# export TF_VAR_public_access_cidrs='["<your address>/32"]'
admit_applier = true
tenant_namespaces = [
  "tenant-data-science-production", "tenant-data-science-staging", "tenant-fraud-production", "tenant-fraud-staging",
  "tenant-recommendations-production", "tenant-recommendations-staging",
]

node_groups = {
  system = {
    instance_types = ["m5.large"]
    desired_size   = 3
    max_size       = 5
    disk_size      = 20
    taints         = [{ key = "CriticalAddonsOnly", value = "true", effect = "NoSchedule" }]
  }
  compute = {
    instance_types = ["m5.xlarge", "m5a.xlarge", "m6i.xlarge"]
    capacity_type  = "SPOT"
    desired_size   = 2
    min_size       = 0
    max_size       = 5
    disk_size      = 20
  }
  gpu = {
    instance_types = ["g4dn.xlarge", "g4dn.2xlarge"]
    capacity_type  = "SPOT"
    desired_size   = 0
    min_size       = 0
    max_size       = 1
    disk_size      = 100
    taints         = [{ key = "nvidia.com/gpu", value = "true", effect = "NoSchedule" }]
  }
}

rds_instance_class     = "db.t3.medium"
rds_allocated_storage  = 20
backup_retention_days  = 7
multi_az               = false
online_store           = "redis"
online_store_node_type = "cache.t4g.micro"
audit_lock_days        = 1
deletion_protection    = false
log_retention_days     = 30

monthly_budget_usd = 600
team_emails        = ["ml-platform@example.com"]
lead_emails        = ["ml-platform-lead@example.com"]
owner_emails       = ["vp-data@example.com"]
