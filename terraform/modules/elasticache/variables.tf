variable "name" {
  description = "Id of the replication group and prefix of what belongs to it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "name must be at most 40 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "vpc_id" {
  description = "VPC of the store."
  type        = string
}

variable "subnet_ids" {
  description = "Database subnets."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids needs subnets in at least two zones, so that multi_az can be turned on later without moving the data."
  }
}

variable "client_security_groups" {
  description = "Security groups that may connect, by a name that says who they are."
  type        = map(string)
}

variable "node_type" {
  description = "Size of a node."
  type        = string

  validation {
    condition     = can(regex("^cache\\.(t3|t4g|m5|m6g|m7g|r5|r6g|r7g)\\.(micro|small|medium|large|([0-9]+)?xlarge)$", var.node_type))
    error_message = "node_type is an unknown instance class. Use names such as cache.t4g.small (development) or cache.r6g.xlarge (production)."
  }
}

variable "engine_version" {
  description = "Valkey version."
  type        = string
  default     = "8.0"
}

variable "multi_az" {
  description = "Keep a replica in another zone and fail over to it."
  type        = bool
  default     = true
}

variable "snapshot_retention_days" {
  description = "Days snapshots are kept. Features can be materialised again, so one is enough to start quickly."
  type        = number
  default     = 1
}

variable "kms_key_arn" {
  description = "Key that encrypts the data at rest."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key: nothing is stored under an AWS-owned key. The kms module makes one."
  }
}

variable "log_kms_key_arn" {
  description = "Key of the logs; its policy must allow the CloudWatch Logs service."
  type        = string
}

variable "log_retention_days" {
  description = "How long logs are kept, in days."
  type        = number
  default     = 365
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
