#!/usr/bin/env bash
# manifests-diff.sh BASE: how every overlay, rendered, differs between a commit and the working tree, as Markdown.
set -euo pipefail
base=$1
work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2> /dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"

render() { # ROOT OVERLAY OUTPUT: an overlay that does not exist on one side is empty there
  if [ -f "$1/$2/kustomization.yaml" ]; then kubectl kustomize "$1/$2" > "$3"; else : > "$3"; fi
}

overlays=$( (git ls-files '*/overlays/*/kustomization.yaml' && git -C "$work/base" ls-files '*/overlays/*/kustomization.yaml') \
  | xargs -r -n 1 dirname | sort -u)
changed=0
for overlay in $overlays; do
  render "$work/base" "$overlay" "$work/before.yaml"
  render . "$overlay" "$work/after.yaml"
  if ! diff -u --label "$overlay before" --label "$overlay after" "$work/before.yaml" "$work/after.yaml" > "$work/diff"; then
    changed=$((changed + 1))
    printf '<details><summary>%s</summary>\n\n```diff\n' "$overlay"
    head -c 12000 "$work/diff"
    printf '\n```\n</details>\n\n'
  fi
done
echo "$changed of $(wc -w <<< "$overlays") rendered overlays differ."
