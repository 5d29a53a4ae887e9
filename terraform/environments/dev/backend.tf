# The bucket is made by terraform/bootstrap, which prints how to name it here without editing a file:
#   export TF_CLI_ARGS_init='-backend-config=bucket=<its name> -backend-config=region=<its region> ...'
# Locks are objects beside the state (no table). The key says which environment the state is of.
terraform {
  backend "s3" {
    key          = "dev/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
