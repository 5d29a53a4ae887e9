#!/usr/bin/env bash
# What a job needs before `mlops pipeline`: the command, and (--sign-in) a short-lived token of the platform.
#
# GitHub's identity token buys fifteen minutes of one AWS role; with it the client secret of the pipeline is read from
# Secrets Manager, and that buys a token at the company's issuer (client credentials). Nothing long-lived is kept in
# GitHub. The client needs the roles `service` and `ml-engineer` of its tenant: a service cannot override a gate.
set -euo pipefail
cd "$(dirname "$0")/.."

python3 -m venv "$RUNNER_TEMP/mlops"
"$RUNNER_TEMP/mlops/bin/pip" install --quiet --require-hashes -r cicd/requirements.lock
# the command alone: it talks HTTP and needs none of the platform's own libraries
python_path=$("$RUNNER_TEMP/mlops/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -r platform-api/src/mlops_platform "$python_path/"
printf '#!/usr/bin/env bash\nexec "%s" -m mlops_platform.cli.main "$@"\n' "$RUNNER_TEMP/mlops/bin/python" > "$RUNNER_TEMP/mlops/bin/mlops"
chmod +x "$RUNNER_TEMP/mlops/bin/mlops"
echo "$RUNNER_TEMP/mlops/bin" >> "$GITHUB_PATH"

[ "${1:-}" = --sign-in ] || exit 0

# shellcheck source=cicd/assume-role.sh
source cicd/assume-role.sh
client=$(aws secretsmanager get-secret-value --secret-id "$MLOPS_CLIENT_SECRET_ID" --query SecretString --output text)
token=$(
  jq --exit-status --raw-output '"grant_type=client_credentials&audience=mlops-platform&client_id=\(.client_id|@uri)&client_secret=\(.client_secret|@uri)"' <<< "$client" \
    | curl --fail --silent --show-error --data @- "$MLOPS_TOKEN_URL" | jq --exit-status --raw-output .access_token
)
echo "::add-mask::$token"
echo "MLOPS_TOKEN=$token" >> "$GITHUB_ENV"
