variable "name" {
  description = "Identifier of the instance and prefix of what belongs to it."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
}

variable "subnet_ids" {
  description = "Database subnets, in at least two zones."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids needs subnets in at least two zones: RDS refuses fewer, even without multi_az."
  }
}

variable "client_security_groups" {
  description = "Security groups that may connect, by a name that says who they are."
  type        = map(string)
}

variable "engine_version" {
  description = "PostgreSQL version; the major alone follows its newest minor."
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^(1[5-9]|[2-9][0-9])(\\.[0-9]+)?$", var.engine_version))
    error_message = "engine_version must be PostgreSQL 15 or newer, for example \"17\": rds.force_ssl is relied on."
  }
}

variable "instance_class" {
  description = "Size of the instance."
  type        = string

  validation {
    condition     = can(regex("^db\\.(t3|t4g|m5|m6g|m6i|m7g|m7i|r5|r6g|r6i|r7g|r7i)\\.(micro|small|medium|large|([0-9]+)?xlarge)$", var.instance_class))
    error_message = "instance_class is an unknown instance class. Use names such as db.t3.medium (development), db.r6g.xlarge or db.r5.xlarge (production)."
  }
}

variable "multi_az" {
  description = "Keep a standby in another zone."
  type        = bool
  default     = true
}

variable "allocated_storage" {
  description = "Storage, GiB."
  type        = number
  default     = 50

  validation {
    condition     = var.allocated_storage >= 20
    error_message = "allocated_storage must be at least 20 GiB, the least gp3 offers."
  }
}

variable "max_allocated_storage" {
  description = "Storage RDS may grow to by itself, GiB."
  type        = number
  default     = 500
}

variable "backup_retention_days" {
  description = "Days of backups and point-in-time recovery."
  type        = number
  default     = 30

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35
    error_message = "backup_retention_days must be 1 to 35; 0 would turn point-in-time recovery off."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the database, and keep a last snapshot when it is deleted after all."
  type        = bool
  default     = true
}

variable "connections_alarm" {
  description = "Connections past which the alarm rings."
  type        = number
  default     = 150
}

variable "kms_key_arn" {
  description = "Key of storage, backups, performance insights and the master password."
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

variable "alarm_topic_arns" {
  description = "SNS topics alarms go to."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
