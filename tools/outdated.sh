#!/usr/bin/env bash
# Says which direct dependencies of the modules, which packages of the pages and which tools of the Makefile have newer versions. Called by `make outdated`;
# it changes nothing and never fails for a version. Some module mirrors give a module at an exact version and list none: those are named, and have to be
# looked up by hand.
set -uo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off GOFLAGS=
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unlisted=()

# direct FILE lists what a go.mod requires itself, without our own modules.
direct() {
  awk '/^require \(/ {r=1; next} /^\)/ {r=0} r && !/\/\/ indirect/ {print $1, $2} /^require [^(]/ && !/\/\/ indirect/ {print $2, $3}' "$1" | grep -v '^concordat.dev/'
}

# latest PATH VERSION asks outside of any module, so that nothing but this one has to be known.
latest() {
  local answer
  answer=$(cd "$scratch" && go list -m -f '{{.Version}}' "$1@latest" 2>/dev/null) || { echo unlisted; return; }
  # The newer of both: a pin may be ahead of what a module calls its latest.
  if [ "$answer" != "$2" ] && [ "$(printf '%s\n' "$2" "$answer" | sort -V | tail -1)" = "$answer" ]; then echo "$answer"; else echo current; fi
}

newer() { # WHERE PATH VERSION ANSWER
  case $4 in
    current) ;;
    unlisted) unlisted+=("$2 $3") ;;
    *) printf '%-16s %-60s %-14s -> %s\n' "$1" "$2" "$3" "$4" ;;
  esac
}

for module in "$@"; do
  while read -r path version; do
    newer "$module" "$path" "$version" "$(latest "$path" "$version")"
  done < <(direct "$module/go.mod")
done

# The tools: VARIABLE := VERSION in the Makefile, with the module that has it.
while read -r variable module; do
  version=$(sed -n "s/^$variable *:= *//p" Makefile)
  newer Makefile "$module" "$version" "$(latest "$module" "$version")"
done <<'TOOLS'
GOLANGCI_LINT github.com/golangci/golangci-lint/v2
GOVULNCHECK golang.org/x/vuln
PROTOC_GEN_GO google.golang.org/protobuf
PROTOC_GEN_CONNECT connectrpc.com/connect
VERSITYGW github.com/versity/versitygw
CYCLONEDX github.com/CycloneDX/cyclonedx-gomod
TOOLS

[ ${#unlisted[@]} -eq 0 ] || { echo "no list of versions:"; printf '  %s\n' "${unlisted[@]}" | sort -u; }
(cd ui/web && npm outdated 2>/dev/null) || true
