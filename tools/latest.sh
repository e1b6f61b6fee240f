#!/usr/bin/env bash
# Tries the modules with the newest versions of their direct dependencies, in a copy: builds, vets and, unless TEST=0, tests each. Called by `make latest`;
# it changes nothing here, and fails where a module does. What it says is news for whoever looks after the pins, no gate.
set -uo pipefail
cd "$(dirname "$0")/.."
export GOWORK=off GOFLAGS=-mod=mod
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
failed=()
for module in "$@"; do
  echo "latest $module"
  while read -r path version; do
    [ -n "$path" ] || continue
    # One at a time: where one is not to be had, or needs a newer Go, the others are tried all the same.
    go -C "$copy/$module" get "$path@latest" 2>"$copy/said" || echo "  $path stays at $version: $(tail -1 "$copy/said")"
  done < <(awk '/^require \(/ {r=1; next} /^\)/ {r=0} r && !/\/\/ indirect/ && !/concordat.dev/ {print $1, $2}' "$module/go.mod")
  diff -U0 "$module/go.mod" "$copy/$module/go.mod" | sed -n 's/^+\t/  now /p'
  (cd "$copy/$module" && go build -o /dev/null -tags duckdb_arrow ./... && go vet -tags duckdb_arrow ./... &&
    { [ "${TEST:-1}" = 0 ] || go test -tags duckdb_arrow ./...; }) >"$copy/said" 2>&1 || { failed+=("$module"); grep -v '^ok\|no test files' "$copy/said" | tail -20; }
done
[ ${#failed[@]} -eq 0 ] || { echo "do not work with the newest versions: ${failed[*]}"; exit 1; }
