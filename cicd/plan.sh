#!/usr/bin/env bash
# plan.sh ENVIRONMENT BASE: Markdown about what a change of Terraform does, costs and puts at risk in one environment.
set -euo pipefail
environment=$1 base=$2
work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2> /dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"
source cicd/assume-role.sh

plan() { # ROOT NAME
  terraform -chdir="$1/terraform/environments/$environment" init -input=false > "$work/$2.log" 2>&1 || { cat "$work/$2.log" >&2; return 1; }
  # no lock: the role may only read
  terraform -chdir="$1/terraform/environments/$environment" plan -input=false -lock=false -no-color -out="$work/$2.tfplan" > "$work/$2.txt"
  terraform -chdir="$1/terraform/environments/$environment" show -json "$work/$2.tfplan" > "$work/$2.json"
}

plan . head
plan "$work/base" base
echo "## $environment"
printf '\n```\n'
grep -E '^(Plan:|No changes)' "$work/head.txt" || true
printf '```\n\n### Cost\n\n```\n'
.venv/bin/mlops costs estimate "$work/head.json" --diff "$work/base.json"
printf '```\n\n### Risks\n\n```\n'
.venv/bin/mlops infrastructure plan-risks "$work/head.json"
printf '```\n'
