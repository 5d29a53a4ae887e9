output "cluster_name" {
  description = "Name of the cluster: `aws eks update-kubeconfig --name <this>`."
  value       = aws_eks_cluster.this.name
}

output "cluster_id" {
  description = "Id of the cluster, which for EKS is its name."
  value       = aws_eks_cluster.this.id
}

output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_eks_cluster.this.arn
}

output "cluster_endpoint" {
  description = "URL of the API server."
  value       = aws_eks_cluster.this.endpoint
}

output "cluster_certificate_authority_data" {
  description = "Certificate of the API server, base64."
  value       = aws_eks_cluster.this.certificate_authority[0].data
}

output "cluster_version" {
  description = "Kubernetes version."
  value       = aws_eks_cluster.this.version
}

output "cluster_security_group_id" {
  description = "Security group of the control plane."
  value       = aws_security_group.cluster.id
}

output "node_security_group_id" {
  description = "Security group of every node: what databases let in."
  value       = aws_security_group.node.id
}

output "node_iam_role_arn" {
  description = "Role of every node."
  value       = aws_iam_role.node.arn
}

output "node_iam_role_name" {
  description = "Name of the nodes' role: Karpenter's node classes name it."
  value       = aws_iam_role.node.name
}

output "oidc_provider_arn" {
  description = "OIDC provider of the cluster, for tools without Pod Identity."
  value       = aws_iam_openid_connect_provider.cluster.arn
}

output "oidc_provider_url" {
  description = "Issuer of the cluster's service account tokens."
  value       = aws_eks_cluster.this.identity[0].oidc[0].issuer
}

output "node_groups" {
  description = "Managed node groups: ARN by name."
  value       = { for name, group in aws_eks_node_group.this : name => group.arn }
}

output "cluster_kms_key_arn" {
  description = "Key of the cluster's secrets and of node volumes."
  value       = aws_kms_key.cluster.arn
}

output "karpenter_role_arn" {
  description = "Role of the Karpenter controller."
  value       = aws_iam_role.karpenter.arn
}

output "interruption_queue_name" {
  description = "Queue Karpenter listens to."
  value       = aws_sqs_queue.interruptions.name
}

output "node_instance_profile_name" {
  description = "Instance profile of the nodes Karpenter starts."
  value       = aws_iam_instance_profile.node.name
}

output "addon_role_arns" {
  description = "Roles of add-ons that need one, by add-on."
  value       = { for addon, role in aws_iam_role.addon : addon => role.arn }
}
