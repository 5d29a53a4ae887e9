provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }

  # an emulator knows neither accounts nor virtual-host names of buckets
  s3_use_path_style           = var.emulated_aws
  skip_credentials_validation = var.emulated_aws
  skip_metadata_api_check     = var.emulated_aws
  skip_requesting_account_id  = false
}
