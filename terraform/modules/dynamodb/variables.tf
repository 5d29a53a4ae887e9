variable "name" {
  description = "Prefix of the tables' names."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts every table."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key: nothing is stored under an AWS-owned key. The kms module makes one."
  }
}

variable "create_online_store" {
  description = "Make the table of Feast's DynamoDB online store. Not needed where Redis is the online store."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Refuse to delete tables until this is turned off."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
