#!/usr/bin/env bash
# Sourced, not run: trades the job's identity token for fifteen minutes of one AWS role (AWS_ROLE_ARN, AWS_REGION).
# Nothing is kept: the three variables live as long as the step that sourced this.
set -euo pipefail

identity=$(
  curl --fail --silent --show-error --config - << CONFIG | jq --exit-status --raw-output .value
url = "${ACTIONS_ID_TOKEN_REQUEST_URL}&audience=sts.amazonaws.com"
header = "Authorization: bearer ${ACTIONS_ID_TOKEN_REQUEST_TOKEN}"
CONFIG
)
echo "::add-mask::$identity"
read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN < <(
  aws sts assume-role-with-web-identity --role-arn "$AWS_ROLE_ARN" --role-session-name "github-$GITHUB_RUN_ID" \
    --web-identity-token "$identity" --duration-seconds "${AWS_SESSION_SECONDS:-900}" \
    --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text
)
: "${AWS_SESSION_TOKEN:?AWS gave no session: does the role trust this repository and environment?}"
echo "::add-mask::$AWS_SECRET_ACCESS_KEY"
echo "::add-mask::$AWS_SESSION_TOKEN"
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
