output "state_bucket" {
  description = "Bucket of the states."
  value       = module.state.bucket_names["tfstate"]
}

output "next" {
  description = "What to run before `terraform init` in an environment."
  value       = "export TF_CLI_ARGS_init='-backend-config=bucket=${module.state.bucket_names["tfstate"]} -backend-config=region=${var.region} -backend-config=kms_key_id=${module.key.key_arns["state"]}'"
}
