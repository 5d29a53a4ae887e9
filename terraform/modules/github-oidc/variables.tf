variable "name" {
  description = "Prefix of the role's name."
  type        = string
}

variable "repository" {
  description = "GitHub repository whose jobs deploy: owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.repository))
    error_message = "repository must be owner/name, without wildcards: a wildcard would let other repositories deploy."
  }
}

variable "github_environment" {
  description = "GitHub environment a job must run in; its protection rules say who may start it."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.github_environment))
    error_message = "github_environment must be a plain name, without wildcards."
  }
}

variable "create_provider" {
  description = "Make the account's identity provider for GitHub. False where another environment of the account has made it."
  type        = bool
  default     = true
}

variable "repository_arns" {
  description = "ECR repositories the pipeline may push to."
  type        = list(string)
}

variable "cluster_arn" {
  description = "Cluster the pipeline may find. What it may do inside is an access entry of the cluster."
  type        = string
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
