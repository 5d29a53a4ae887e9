variable "name" {
  description = "Environment the names belong to."
  type        = string
}

variable "domain" {
  description = "Domain of the environment, for example dev.mlops.example.com. Its parent must delegate to the output name_servers."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "domain must be a lower-case domain such as dev.mlops.example.com."
  }
}

variable "wait_for_certificate" {
  description = "Wait until the certificate is issued. Turn on after the parent zone delegates here; before, it would wait for ever."
  type        = bool
  default     = false
}

variable "force_destroy" {
  description = "Let `terraform destroy` delete records others have put into the zone."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
