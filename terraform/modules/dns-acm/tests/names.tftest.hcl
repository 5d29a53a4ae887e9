mock_provider "aws" {
  source = "../../testing"
}

variables {
  name   = "mlops-test"
  domain = "dev.mlops.example.com"
}

run "a_certificate_for_the_domain_and_all_below" {
  command = apply

  assert {
    condition     = aws_acm_certificate.this.validation_method == "DNS" && aws_acm_certificate.this.subject_alternative_names == toset(["*.dev.mlops.example.com"])
    error_message = "proven by DNS, renewed without anybody"
  }
  assert {
    condition     = length(aws_route53_record.validation) == 1 && aws_route53_record.validation["dev.mlops.example.com"].type == "CNAME"
    error_message = "one record proves both names"
  }
}

run "nobody_else_may_issue_certificates" {
  command = plan

  assert {
    condition     = aws_route53_record.caa.type == "CAA" && contains(aws_route53_record.caa.records, "0 issue \"amazon.com\"")
    error_message = "the zone names its issuer"
  }
}

run "waiting_is_asked_for" {
  command = plan

  assert {
    condition     = length(aws_acm_certificate_validation.this) == 0
    error_message = "before the parent zone delegates, nothing waits"
  }
}

run "a_domain_that_is_none_is_refused" {
  command = plan
  variables {
    domain = "localhost"
  }
  expect_failures = [var.domain]
}
