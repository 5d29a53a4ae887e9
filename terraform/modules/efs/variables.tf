variable "name" {
  description = "Name of the file system."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "name must be at most 40 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "vpc_id" {
  description = "VPC of the mount targets."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, one per zone: a pod mounts from its own zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids needs subnets in at least two zones: with one, losing it takes every pod's files."
  }
}

variable "client_security_groups" {
  description = "Security groups that may mount, by a name that says who they are."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key that encrypts the files."
  type        = string

  validation {
    condition     = startswith(var.kms_key_arn, "arn:")
    error_message = "kms_key_arn must be the ARN of a key: files are encrypted with a key of ours."
  }
}

variable "manage_policies" {
  description = "Set the backup and access policies. Only for an emulator that knows neither: without them files are not backed up and mounts need no TLS."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
