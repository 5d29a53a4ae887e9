variable "name" {
  description = "Name of the network and prefix of everything in it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "name must be 3 to 31 lower-case letters, digits and hyphens, starting with a letter: it becomes part of names AWS limits."
  }
}

variable "vpc_cidr" {
  description = "Address range. Between /16 and /20: pods take an address each, so smaller networks run out."
  type        = string

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/", var.vpc_cidr))
    error_message = "vpc_cidr must be an IPv4 range such as 10.0.0.0/16."
  }
  validation {
    condition     = try(cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0], true)
    error_message = "vpc_cidr must start at the network's first address: 10.0.0.0/16, not 10.0.4.7/16."
  }
  validation {
    condition     = try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, true)
    error_message = "vpc_cidr must be between /16 (the largest AWS allows) and /20: every pod takes an address, and a smaller network runs out before the node groups reach their maximum. Choose a larger range."
  }
}

variable "availability_zones" {
  description = "Zones to spread over: two to six, three in production."
  type        = list(string)

  validation {
    condition     = length(var.availability_zones) >= 2 && length(var.availability_zones) <= 6
    error_message = "availability_zones needs two to six zones: EKS and RDS refuse fewer than two, and the address arithmetic has room for six."
  }
  validation {
    condition     = length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "availability_zones names a zone twice; each zone gets one subnet per tier."
  }
}

variable "reserved_cidrs" {
  description = "Ranges this network must never overlap: other environments, the office, the cluster's service range."
  type        = list(string)
  default     = ["172.20.0.0/16"]

  validation {
    condition     = alltrue([for cidr in var.reserved_cidrs : can(cidrhost(cidr, 0))])
    error_message = "Every entry of reserved_cidrs must be an IPv4 range such as 10.1.0.0/16."
  }
}

variable "cluster_name" {
  description = "EKS cluster whose nodes and load balancers find their subnets by tag."
  type        = string
}

variable "single_nat_gateway" {
  description = "One NAT gateway for all zones. Saves money; losing its zone cuts every node off the internet."
  type        = bool
  default     = false
}

variable "interface_endpoints" {
  description = "AWS services reached inside the VPC, each costing per hour and zone. Empty: they are reached through NAT."
  type        = list(string)
  default     = ["ecr.api", "ecr.dkr", "sts", "ec2", "logs", "kms", "secretsmanager", "eks", "autoscaling", "sqs"]
}

variable "flow_logs_retention_days" {
  description = "How long flow logs are kept, in days; one of the periods CloudWatch offers."
  type        = number
  default     = 365

  validation {
    condition     = contains([30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.flow_logs_retention_days)
    error_message = "flow_logs_retention_days must be a period CloudWatch offers, 30 days at least: 30, 60, 90, 180, 365, 731, 1096, 1827, 2557, 3653."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs; its policy must allow the CloudWatch Logs service."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a KMS key: flow logs are not written unencrypted. The kms module makes one."
  }
}

variable "tags" {
  description = "Tags of every resource, beside the provider's default tags."
  type        = map(string)
  default     = {}
}
