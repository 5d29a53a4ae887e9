variable "name" {
  description = "Prefix of the roles' names."
  type        = string
}

variable "cluster_name" {
  description = "Cluster whose pods wear the roles."
  type        = string
}

variable "tenant_namespaces" {
  description = "Namespaces of tenants, whose model servers (service account model-server) may read approved models."
  type        = list(string)

  validation {
    condition     = length(var.tenant_namespaces) > 0 && alltrue([for namespace in var.tenant_namespaces : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", namespace))])
    error_message = "tenant_namespaces needs at least one namespace, by its plain name: a wildcard would let any pod called model-server read every model."
  }
}

variable "bucket_arns" {
  description = "ARNs of the buckets artifacts, data-lake, prediction-log, audit, backups and restore-scratch."
  type        = map(string)

  validation {
    condition     = alltrue([for bucket in ["artifacts", "data-lake", "prediction-log", "audit", "backups", "restore-scratch"] : contains(keys(var.bucket_arns), bucket)])
    error_message = "bucket_arns must name artifacts, data-lake, prediction-log, audit, backups and restore-scratch: the output bucket_arns of the s3 module."
  }
}

variable "table_arns" {
  description = "ARNs of the table audit-log and of those of the online store, whose names start with online."
  type        = map(string)

  validation {
    condition     = alltrue([for table in ["audit-log"] : contains(keys(var.table_arns), table)])
    error_message = "table_arns must name audit-log: the output table_arns of the dynamodb module."
  }
}

variable "online_store_connect_arns" {
  description = "Replication group and user of the online feature store: the output connect_arns of the elasticache module. Empty where features live in DynamoDB."
  type        = list(string)
  default     = []
}

variable "data_kms_key_arn" {
  description = "Key of the buckets and tables."
  type        = string
}

variable "statements_kms_key_arn" {
  description = "Key that signs statements of approval; the worker's role alone may sign with it."
  type        = string
}

variable "backups_kms_key_arn" {
  description = "Key that signs manifests of backups; the role of the backup alone may sign with it."
  type        = string
}

variable "database_instance" {
  description = "RDS instance whose moments are backed up; restore tests make and delete <this>-restore-test."
  type        = string
}

variable "secrets_kms_key_arn" {
  description = "Key of the secrets."
  type        = string
}

variable "database_kms_key_arn" {
  description = "Key of the database, which also encrypts the password RDS keeps."
  type        = string
}

variable "secrets_prefix" {
  description = "Path below which the cluster may read secrets."
  type        = string
}

variable "extra_secret_arns" {
  description = "Secrets elsewhere that the cluster may read: the database password RDS manages."
  type        = list(string)
  default     = []
}

variable "manage_access" {
  description = "Make Pod Identity associations. False only where the API does not exist (an emulated AWS)."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
