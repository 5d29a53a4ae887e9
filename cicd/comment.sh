#!/usr/bin/env bash
# comment.sh MARKER FILE: write a file as the one comment of that name on the pull request, replacing the earlier one.
set -euo pipefail
marker="<!-- $1 -->"
body=$(mktemp)
{ echo "$marker"; head -c 60000 "$2"; } > "$body"
comments=repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments
known=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$marker\")) | .id" | head -n 1)
if [ -n "$known" ]; then
  gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" --field "body=@$body" > /dev/null
else
  gh api --method POST "$comments" --field "body=@$body" > /dev/null
fi
