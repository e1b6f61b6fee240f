#!/usr/bin/env bash
# Says which direct dependencies of the modules, and which packages of the pages, have newer versions. Called by `make outdated`; it changes nothing
# and never fails for a version. Some module mirrors give a module at an exact version and list none: those are named, and have to be looked up by hand.
set -uo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off GOFLAGS=-mod=mod
unlisted=()
for module in "$@"; do
  while read -r path version; do
    answer=$(cd "$module" && go list -m -u -f '{{with .Update}}{{.Version}}{{else}}current{{end}}' "$path" 2>/dev/null) || answer=unlisted
    case $answer in
      current) ;;
      unlisted) unlisted+=("$path $version") ;;
      *) printf '%-14s %-60s %-14s -> %s\n' "$module" "$path" "$version" "$answer" ;;
    esac
  done < <(cd "$module" && go list -m -f '{{if not (or .Main .Indirect .Replace)}}{{.Path}} {{.Version}}{{end}}' all 2>/dev/null | sed '/^$/d')
done
[ ${#unlisted[@]} -eq 0 ] || { echo "no list of versions:"; printf '  %s\n' "${unlisted[@]}" | sort -u; }
(cd ui/web && npm outdated 2>/dev/null) || true
