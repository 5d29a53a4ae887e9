variable "name" {
  description = "Prefix of the keys' aliases."
  type        = string
}

variable "keys" {
  description = "One key per kind of data: what it is for, the AWS services that may use it for this account, whether CloudWatch Logs may, and whether it signs (P-256) instead of encrypting."
  type = map(object({
    description     = string
    services        = optional(list(string), [])
    cloudwatch_logs = optional(bool, false)
    signing         = optional(bool, false)
  }))

  validation {
    condition     = length(var.keys) > 0
    error_message = "keys is empty: everything that stores data needs a customer-managed key. Name at least one, for example { data = { description = \"Buckets and tables\" } }."
  }
}

variable "deletion_window_in_days" {
  description = "Days between asking for a key's deletion and losing what it encrypted."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_in_days >= 7 && var.deletion_window_in_days <= 30
    error_message = "deletion_window_in_days must be 7 to 30. After it, whatever the key encrypted is gone."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
