variable "name" {
  description = "Prefix of the repositories' names."
  type        = string
}

variable "repositories" {
  description = "One repository per image."
  type        = list(string)
  default     = ["mlops-api", "mlops-worker", "model-server", "mlflow"]

  validation {
    condition     = length(var.repositories) > 0 && length(distinct(var.repositories)) == length(var.repositories)
    error_message = "repositories must name at least one image, each once."
  }
}

variable "keep_images" {
  description = "Images kept per repository; what is deployed must be among them."
  type        = number
  default     = 100

  validation {
    condition     = var.keep_images >= 10
    error_message = "keep_images must be at least 10: a rollback needs the image of the revision before."
  }
}

variable "force_delete" {
  description = "Let `terraform destroy` delete repositories that hold images."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the images."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key: nothing is stored under an AWS-owned key. The kms module makes one."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
