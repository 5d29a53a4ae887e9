#!/usr/bin/env bash
# install-tool.sh NAME...: pinned programs into $TOOLS (default: $RUNNER_TEMP/tools), each only if its SHA-256 is the one
# written here. A checksum that is not known here comes from a repository variable; without it nothing is installed.
set -euo pipefail
folder=${TOOLS:-$RUNNER_TEMP/tools}
mkdir -p "$folder"

for name in "$@"; do
  case "$name" in
    trivy)
      url=https://github.com/aquasecurity/trivy/releases/download/v0.62.1/trivy_0.62.1_Linux-64bit.tar.gz
      sum=7da92b2ca503d08eb15e717585fa4ffb95ef2c5dc4c554204882d7d26d386a6a ;;
    cosign)
      url=https://github.com/sigstore/cosign/releases/download/v2.4.1/cosign-linux-amd64
      sum=8b24b946dd5809c6bd93de08033bcf6bc0ed7d336b7785787c080f574b89249b ;;
    kubesec)
      url=https://github.com/controlplaneio/kubesec/releases/download/v2.14.2/kubesec_linux_amd64.tar.gz
      sum=${KUBESEC_SHA256:-} ;;
    terraform)
      url=https://releases.hashicorp.com/terraform/1.11.4/terraform_1.11.4_linux_amd64.zip
      sum=1ce994251c00281d6845f0f268637ba50c0005657eb3cf096b92f753b42ef4dc ;;
    *)
      echo "install-tool.sh knows no program named '$name'" >&2
      exit 2 ;;
  esac
  if [ -z "$sum" ]; then
    echo "$name: no checksum is known; set ${name^^}_SHA256 to that of $url, from its publisher's signed list" >&2
    exit 1
  fi
  archive=$folder/$(basename "$url")
  curl --fail --silent --show-error --location --output "$archive" "$url"
  echo "$sum  $archive" | sha256sum --check --quiet
  case "$archive" in
    *.tar.gz) tar --extract --gzip --file "$archive" --directory "$folder" "$name" ;;
    *.zip) unzip -q -o "$archive" "$name" -d "$folder" ;;
    *) mv "$archive" "$folder/$name" ;;
  esac
  chmod +x "$folder/$name"
done
if [ -n "${GITHUB_PATH:-}" ]; then echo "$folder" >> "$GITHUB_PATH"; fi
