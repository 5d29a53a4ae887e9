variable "cluster_name" {
  description = "Name of the cluster and prefix of its roles."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.cluster_name))
    error_message = "cluster_name must be 3 to 31 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "kubernetes_version" {
  description = "Kubernetes version, major and minor."
  type        = string
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.(3[3-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be 1.33 or newer, for example \"1.35\": older versions are past their support, and the gateway's controller does not run on them."
  }
}

variable "vpc_id" {
  description = "VPC of the cluster."
  type        = string
}

variable "vpc_cidr" {
  description = "Address range of the VPC: what nodes may reach on any port."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of nodes, pods and the control plane's interfaces, in at least two zones."
  type        = list(string)
}

variable "public_access_cidrs" {
  description = "Addresses that may reach the API server from the internet. Empty: nobody, the endpoint is private."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Every entry of public_access_cidrs must be a range such as 203.0.113.0/24."
  }
  validation {
    condition     = alltrue([for cidr in var.public_access_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "public_access_cidrs would open the API server to the world (0.0.0.0/0 or nearly so). List the addresses of your offices and runners, or leave it empty and connect through the VPC."
  }
}

variable "access_entries" {
  description = <<-EOT
    Who may do what in the cluster: a principal, and either an EKS access policy (AmazonEKSClusterAdminPolicy,
    AmazonEKSAdminViewPolicy, AmazonEKSEditPolicy, AmazonEKSViewPolicy), for some namespaces or all, or Kubernetes groups.
  EOT
  type = map(object({
    principal_arn     = string
    policy            = optional(string, "")
    namespaces        = optional(list(string), [])
    kubernetes_groups = optional(list(string), [])
  }))
  default = {}

  validation {
    condition     = alltrue([for entry in values(var.access_entries) : entry.policy != "" || length(entry.kubernetes_groups) > 0])
    error_message = "Every access entry needs a policy or kubernetes_groups; with neither its principal can sign in and do nothing."
  }
}

variable "log_retention_days" {
  description = "How long control-plane logs are kept, in days."
  type        = number
  default     = 365
}

variable "log_kms_key_arn" {
  description = "Key that encrypts the control-plane logs; its policy must allow the CloudWatch Logs service."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.log_kms_key_arn))
    error_message = "log_kms_key_arn must be the ARN of a KMS key: logs are not written unencrypted. The kms module makes one."
  }
}

variable "events_kms_key_arn" {
  description = "Key that encrypts Karpenter's queue; its policy must allow EventBridge."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.events_kms_key_arn))
    error_message = "events_kms_key_arn must be the ARN of a KMS key that EventBridge may use. The kms module makes one."
  }
}

variable "node_groups" {
  description = <<-EOT
    Managed node groups by name. capacity_type: ON_DEMAND or SPOT (give several instance_types, so that one type's
    shortage does not stop the group). disk_size in GiB. Taints keep other pods away; GPU groups must have one.
  EOT
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

  validation {
    condition     = contains(keys(var.node_groups), "system")
    error_message = "node_groups needs a group named system: add-ons and the platform's own pods run there."
  }
  validation {
    condition     = try(var.node_groups["system"].capacity_type == "ON_DEMAND" && length(var.node_groups["system"].taints) > 0, true)
    error_message = "The system group must be ON_DEMAND and tainted (key CriticalAddonsOnly, value \"true\", effect NoSchedule): what holds the cluster together must not vanish with the spot market, nor share its nodes with models."
  }
  validation {
    condition     = alltrue([for group in values(var.node_groups) : contains(["ON_DEMAND", "SPOT"], group.capacity_type)])
    error_message = "capacity_type must be ON_DEMAND or SPOT."
  }
  validation {
    condition     = alltrue([for group in values(var.node_groups) : group.capacity_type != "SPOT" || length(group.instance_types) >= 2])
    error_message = "A SPOT group needs at least two instance_types: with one, a shortage of that type empties the group."
  }
  validation {
    condition     = alltrue(flatten([for group in values(var.node_groups) : [for type in group.instance_types : can(regex("^(m|c|r|t|g|p)[0-9][a-z0-9-]*\\.(medium|large|xlarge|[0-9]+xlarge|metal)$", type))]]))
    error_message = "instance_types holds an unknown instance class. Use names such as m5.large, m6i.2xlarge, c7i.4xlarge, r6i.xlarge, g4dn.2xlarge or p4d.24xlarge."
  }
  validation {
    condition     = alltrue(flatten([for group in values(var.node_groups) : [for type in group.instance_types : !can(regex("^[a-z]+[0-9]+g[a-z]*\\.", type))]]))
    error_message = "instance_types holds an ARM type (Graviton), but the platform's images are built for x86-64. Use m5, m6i, c7i, r6i, g4dn or p4d types."
  }
  validation {
    condition     = alltrue([for group in values(var.node_groups) : coalesce(group.min_size, 0) <= group.desired_size && group.desired_size <= coalesce(group.max_size, group.desired_size)])
    error_message = "Every group needs min_size <= desired_size <= max_size."
  }
  validation {
    condition     = alltrue(flatten([for group in values(var.node_groups) : [for taint in group.taints : contains(["NoSchedule", "NoExecute", "PreferNoSchedule"], taint.effect)]]))
    error_message = "A taint's effect must be NoSchedule, NoExecute or PreferNoSchedule."
  }
}

variable "addon_versions" {
  description = "Versions of add-ons to hold; those not named follow EKS's default for the Kubernetes version."
  type        = map(string)
  default     = {}
}

variable "manage_addons" {
  description = "Install add-ons. False only where the API does not exist (an emulated AWS)."
  type        = bool
  default     = true
}

variable "manage_access" {
  description = "Make access entries and Pod Identity associations. False only where the API does not exist (an emulated AWS)."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
