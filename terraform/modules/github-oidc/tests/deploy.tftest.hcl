mock_provider "aws" {
  source = "../../testing"
}

variables {
  name               = "mlops-test"
  repository         = "example/mlops"
  github_environment = "staging"
  repository_arns    = ["arn:aws:ecr:us-east-1:123456789012:repository/mlops-test/mlops-api"]
  cluster_arn        = "arn:aws:eks:us-east-1:123456789012:cluster/mlops-test"
}

run "one_environment_of_one_repository_may_deploy" {
  command = apply

  assert {
    condition     = jsondecode(aws_iam_role.deploy.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == "repo:example/mlops:environment:staging"
    error_message = "neither a fork nor another branch gets the role"
  }
  assert {
    condition     = jsondecode(aws_iam_role.deploy.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com" && aws_iam_role.deploy.max_session_duration == 3600
    error_message = "for AWS, for an hour"
  }
}

run "the_pipeline_pushes_images_and_finds_the_cluster" {
  command = plan

  assert {
    condition     = toset(flatten([for statement in jsondecode(aws_iam_role_policy.deploy.policy).Statement : [for action in statement.Action : split(":", action)[0]]])) == toset(["ecr", "eks"])
    error_message = "nothing but images and the cluster's address"
  }
}

run "an_account_that_knows_github_is_not_told_again" {
  command = plan
  variables {
    create_provider = false
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && jsondecode(aws_iam_role.deploy.assume_role_policy).Statement[0].Principal.Federated == "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    error_message = "the role trusts the provider that is there"
  }
}

run "every_repository_of_an_owner_is_refused" {
  command = plan
  variables {
    repository = "example/*"
  }
  expect_failures = [var.repository]
}

run "every_environment_is_refused" {
  command = plan
  variables {
    github_environment = "*"
  }
  expect_failures = [var.github_environment]
}
