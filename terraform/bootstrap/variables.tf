variable "project" {
  description = "Name of the platform; prefix of the bucket."
  type        = string
  default     = "mlops-platform"
}

variable "region" {
  description = "AWS region of the state; its own choice, whatever regions environments use."
  type        = string
  default     = "us-east-1"
}

variable "team" {
  description = "Tag: who owns the state."
  type        = string
  default     = "ml-platform"
}

variable "cost_center" {
  description = "Tag: who pays for it."
  type        = string
  default     = "cc-ml-platform"
}

variable "emulated_aws" {
  description = "The AWS is an emulator. For tests."
  type        = bool
  default     = false
}
