#!/usr/bin/env bash
# release-notes.sh TAG: the section of CHANGELOG.md that has the tag's version in its heading; fails when there is none.
set -euo pipefail
version=${1#v}
awk -v wanted="$version" '
  /^## / { inside = (index($0, wanted) > 0) ; if (inside) found = 1 ; next }
  inside { print }
  END { exit !found }
' CHANGELOG.md || { echo "CHANGELOG.md has no section for $version" >&2; exit 1; }
