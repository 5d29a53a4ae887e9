#!/usr/bin/env bash
# image.sh scan|publish NAME: one image of the platform. `scan` needs no account; `publish` pushes what was scanned, signs
# its digest without a key (the job's identity), attaches the SBOM, and prints the digest that manifests pin.
set -euo pipefail
what=$1 name=$2
case "$name" in
  api | worker | model-server) build=(--file platform-api/Dockerfile --target "$name" platform-api) ;;
  mlflow) build=(--file kubernetes/mlflow/Dockerfile kubernetes/mlflow) ;;
  *) echo "image.sh knows no image named '$name'" >&2; exit 2 ;;
esac
commit=$(git rev-parse HEAD)
local_name=mlops-$name:$commit

docker build --tag "$local_name" --label "org.opencontainers.image.revision=$commit" "${build[@]}"
trivy image --quiet --scanners vuln,secret --severity HIGH,CRITICAL --ignore-unfixed --exit-code 1 "$local_name"
trivy image --quiet --format cyclonedx --output "sbom-$name.json" "$local_name"
[ "$what" = publish ] || exit 0

source cicd/assume-role.sh
remote=$REGISTRY/mlops-$name
aws ecr get-login-password --region "$AWS_REGION" | docker login --username AWS --password-stdin "${REGISTRY%%/*}"
docker tag "$local_name" "$remote:$commit"
docker push --quiet "$remote:$commit"
digest=$(docker inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$remote:$commit" | grep "^$remote@sha256:")
cosign sign --yes "$digest"
cosign attest --yes --type cyclonedx --predicate "sbom-$name.json" "$digest"
echo "$digest" | tee -a "$GITHUB_STEP_SUMMARY"
