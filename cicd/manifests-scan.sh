#!/usr/bin/env bash
# Trivy and kubesec over every rendered production overlay; ends with 1 at a high finding or a critical kubesec score.
set -euo pipefail
tools=${TOOLS:-$RUNNER_TEMP/tools}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files '*/overlays/production/kustomization.yaml' | while read -r file; do
  overlay=$(dirname "$file")
  kubectl kustomize "$overlay" > "$work/$(tr / - <<< "$overlay").yaml"
done
"$tools/trivy" config --quiet --severity HIGH,CRITICAL --exit-code 1 "$work"
for file in "$work"/*.yaml; do
  [ -e "$file" ] || continue
  # kubesec answers with one entry per object that runs pods, and null scores for the rest
  "$tools/kubesec" scan "$file" | jq --exit-status 'all(.[]; (.scoring.critical // []) | length == 0)' > /dev/null || {
    echo "$(basename "$file"): kubesec finds something critical" >&2
    exit 1
  }
done
