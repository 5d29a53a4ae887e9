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

variable "online_store_views" {
  description = "Feature views kept online in DynamoDB, as project.view; feature_store.yaml says table_name_template: \"<name>-online.{project}.{table_name}\". Empty where Redis is the online store."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for view in var.online_store_views : can(regex("^[a-zA-Z0-9_]+\\.[a-zA-Z0-9_]+$", view))])
    error_message = "Every entry of online_store_views must be project.view, for example credit.customer_features."
  }
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
