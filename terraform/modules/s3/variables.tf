variable "name" {
  description = "Prefix of every bucket's name; the bucket's own name and the account id follow."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,24}$", var.name))
    error_message = "name must be 2 to 25 lower-case letters, digits and hyphens: bucket names hold 63 characters, and a bucket's name and the account id follow."
  }
}

variable "buckets" {
  description = <<-EOT
    Buckets by short name. classification: public, internal, confidential or restricted. tiers: where objects go as they
    age, in days. expire_days, noncurrent_days: when objects and overwritten versions go, 0 for never.
    object_lock_days: written once, kept that long; GOVERNANCE can be lifted by lock_administrator_arns, COMPLIANCE by nobody.
  EOT
  type = map(object({
    classification   = string
    tiers            = optional(list(object({ days = number, storage_class = string })), [])
    expire_days      = optional(number, 0)
    noncurrent_days  = optional(number, 90)
    object_lock_days = optional(number, 0)
    object_lock_mode = optional(string, "GOVERNANCE")
  }))

  validation {
    condition     = alltrue([for bucket in values(var.buckets) : contains(["public", "internal", "confidential", "restricted"], bucket.classification)])
    error_message = "classification must be public, internal, confidential or restricted. It says how data may be used; no bucket is open to the public whatever it says."
  }
  validation {
    condition = alltrue([for bucket in values(var.buckets) : alltrue([
      for tier in bucket.tiers : contains(["STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"], tier.storage_class)
    ])])
    error_message = "storage_class must be STANDARD_IA, INTELLIGENT_TIERING, GLACIER_IR, GLACIER or DEEP_ARCHIVE."
  }
  validation {
    condition     = alltrue([for bucket in values(var.buckets) : contains(["GOVERNANCE", "COMPLIANCE"], bucket.object_lock_mode)])
    error_message = "object_lock_mode must be GOVERNANCE or COMPLIANCE."
  }
  validation {
    condition     = alltrue([for bucket in values(var.buckets) : bucket.expire_days == 0 || bucket.expire_days >= bucket.object_lock_days])
    error_message = "expire_days is shorter than object_lock_days: objects cannot go while they are locked. Raise expire_days or set it to 0."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts every object."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key: nothing is stored under an AWS-owned key. The kms module makes one."
  }
}

variable "lock_administrator_arns" {
  description = "Principals that may lift a GOVERNANCE lock. Empty: nobody."
  type        = list(string)
  default     = []
}

variable "force_destroy" {
  description = "Let `terraform destroy` empty buckets. For environments that are thrown away; locked buckets are never emptied."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
