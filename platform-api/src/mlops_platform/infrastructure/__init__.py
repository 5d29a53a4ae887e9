"""What Terraform would do: plans as data, and the changes in them that need a second look."""
