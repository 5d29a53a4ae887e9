variable "project" {
  description = "Name of the platform; first half of every name."
  type        = string
  default     = "mlops-platform"
}

variable "environment" {
  description = "dev, staging or production; second half of every name."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "environment must be dev, staging or production."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
}

variable "team" {
  description = "Tag: who owns this environment."
  type        = string
}

variable "cost_center" {
  description = "Tag: who pays for it."
  type        = string
}

# --- network

variable "vpc_cidr" {
  description = "Address range, /16 to /20."
  type        = string
}

variable "availability_zones" {
  description = "Zones: three, in development two will do."
  type        = list(string)
}

variable "reserved_cidrs" {
  description = "Ranges the network must not overlap: the other environments, the office, the cluster's service range."
  type        = list(string)
}

variable "single_nat_gateway" {
  description = "One NAT gateway instead of one per zone."
  type        = bool
}

variable "interface_endpoints" {
  description = "AWS services reached inside the VPC; empty: through NAT."
  type        = list(string)
}

# --- cluster

variable "kubernetes_version" {
  description = "Kubernetes version."
  type        = string
  default     = "1.35"
}

variable "public_access_cidrs" {
  description = "Addresses that may reach the API server from the internet; empty: none."
  type        = list(string)
  default     = []
}

variable "access_entries" {
  description = "Who may do what in the cluster; see modules/eks."
  type = map(object({
    principal_arn     = string
    policy            = optional(string, "")
    namespaces        = optional(list(string), [])
    kubernetes_groups = optional(list(string), [])
  }))
  default = {}
}

variable "admit_applier" {
  description = "Make the role that applies this an administrator of the cluster. Never in production."
  type        = bool
  default     = false
}

variable "tenant_namespaces" {
  description = "Namespaces of tenants, in which model servers may read approved models."
  type        = list(string)
}

variable "node_groups" {
  description = "Managed node groups; see modules/eks."
  type = map(object({
    instance_types = list(string)
    capacity_type  = optional(string, "ON_DEMAND")
    desired_size   = number
    min_size       = optional(number)
    max_size       = optional(number)
    disk_size      = optional(number, 50)
    labels         = optional(map(string), {})
    taints         = optional(list(object({ key = string, value = optional(string, ""), effect = string })), [])
  }))
}

# --- state

variable "rds_instance_class" {
  description = "Size of PostgreSQL."
  type        = string
}

variable "rds_allocated_storage" {
  description = "Storage of PostgreSQL, GiB."
  type        = number
}

variable "backup_retention_days" {
  description = "Days of backups and point-in-time recovery."
  type        = number
}

variable "multi_az" {
  description = "Standbys in another zone for PostgreSQL and the online store."
  type        = bool
}

variable "online_store" {
  description = "Where online features live: redis or dynamodb."
  type        = string
  default     = "redis"

  validation {
    condition     = contains(["redis", "dynamodb"], var.online_store)
    error_message = "online_store must be redis or dynamodb."
  }
}

variable "online_store_views" {
  description = "Feature views kept online when online_store is dynamodb, as project.view."
  type        = list(string)
  default     = []
}

variable "online_store_node_type" {
  description = "Size of a node of the online store."
  type        = string
  default     = "cache.t4g.small"
}

variable "audit_lock_days" {
  description = "Days audit objects cannot be deleted: 2557 (seven years) where it counts."
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to delete databases, tables and full buckets."
  type        = bool
}

variable "log_retention_days" {
  description = "How long logs are kept, in days."
  type        = number
}

# --- money and people

variable "monthly_budget_usd" {
  description = "What a month may cost before people are told."
  type        = number
}

variable "team_emails" {
  description = "The platform team."
  type        = list(string)
}

variable "lead_emails" {
  description = "Its lead."
  type        = list(string)
}

variable "owner_emails" {
  description = "Who answers for the money."
  type        = list(string)
}

# --- pipeline and names

variable "github_repository" {
  description = "Repository whose pipeline deploys here, owner/name; empty: none."
  type        = string
  default     = ""
}

variable "create_github_provider" {
  description = "Make the account's identity provider for GitHub; false where another environment of the account has."
  type        = bool
  default     = true
}

variable "domain" {
  description = "Domain of the environment; empty: none."
  type        = string
  default     = ""
}

variable "wait_for_certificate" {
  description = "Wait until the certificate is issued; after the parent zone delegates."
  type        = bool
  default     = false
}

variable "emulated_aws" {
  description = "The AWS is an emulator: leave out what it lacks (add-ons, access entries, Pod Identity, the budget and cost anomalies, the Redis online store). For tests."
  type        = bool
  default     = false
}

variable "oidc_issuer" {
  description = "OpenID Connect issuer whose tokens the platform accepts, for example https://company.okta.com/oauth2/mlops; empty until it is known. The platform does not start in production without one."
  type        = string
  default     = ""

  validation {
    condition     = var.oidc_issuer == "" || startswith(var.oidc_issuer, "https://")
    error_message = "oidc_issuer must be an https:// URL."
  }
}
