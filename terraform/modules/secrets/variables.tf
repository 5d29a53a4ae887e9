variable "prefix" {
  description = "Path of the secrets; the cluster may read what is below it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]+(/[a-z0-9-]+)*$", var.prefix))
    error_message = "prefix must be a path such as mlops-platform/dev, without a slash at either end."
  }
}

variable "secrets" {
  description = "Secrets by name. generate_length: characters to generate, 0 when a person puts the value there. Raise generation to renew."
  type = map(object({
    description     = string
    generate_length = optional(number, 0)
    generation      = optional(number, 1)
  }))

  validation {
    condition     = alltrue([for secret in values(var.secrets) : secret.generate_length == 0 || secret.generate_length >= 32])
    error_message = "generate_length must be 0 (a person puts the value there) or at least 32."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key: nothing is stored under an AWS-owned key. The kms module makes one."
  }
}

variable "recovery_window_in_days" {
  description = "Days a deleted secret can be brought back; 0 deletes at once."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_window_in_days == 0 || (var.recovery_window_in_days >= 7 && var.recovery_window_in_days <= 30)
    error_message = "recovery_window_in_days must be 0 or 7 to 30."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
