variable "name" {
  description = "Prefix of everything made here."
  type        = string
}

variable "environment" {
  description = "Value of the tag `environment` whose costs the budget counts."
  type        = string
}

variable "monthly_budget_usd" {
  description = "What a month may cost, US dollars. Nothing is switched off when it is passed; people are told."
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be more than 0. `mlops costs estimate` prints what the plan costs."
  }
}

variable "team_emails" {
  description = "Told at 80 % and by alarms: the platform team."
  type        = list(string)

  validation {
    condition     = length(var.team_emails) > 0 && alltrue([for email in var.team_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", email))])
    error_message = "team_emails needs at least one address: an alarm nobody hears is none."
  }
}

variable "lead_emails" {
  description = "Told at 90 %."
  type        = list(string)

  validation {
    condition     = length(var.lead_emails) > 0
    error_message = "lead_emails needs at least one address."
  }
}

variable "owner_emails" {
  description = "Told at 100 %: whoever answers for the money."
  type        = list(string)

  validation {
    condition     = length(var.owner_emails) > 0
    error_message = "owner_emails needs at least one address."
  }
}

variable "log_groups" {
  description = "Log groups of the platform's parts."
  type        = list(string)
  default     = ["platform-api", "mlflow", "model-serving"]
}

variable "log_retention_days" {
  description = "How long logs are kept, in days."
  type        = number
  default     = 365
}

variable "log_kms_key_arn" {
  description = "Key of the logs; its policy must allow the CloudWatch Logs service."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.log_kms_key_arn))
    error_message = "log_kms_key_arn must be the ARN of a KMS key: logs are not written unencrypted. The kms module makes one."
  }
}

variable "events_kms_key_arn" {
  description = "Key of the topic; its policy must allow CloudWatch, budgets and cost alerts."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.events_kms_key_arn))
    error_message = "events_kms_key_arn must be the ARN of a KMS key. The kms module makes one."
  }
}

variable "manage_cost_alerts" {
  description = "Make the budget and watch for unusual costs. False only where the API does not exist (an emulated AWS)."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
