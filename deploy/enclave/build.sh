#!/usr/bin/env bash
# Builds what runs in enclaves, from the programs in BIN, and prints measurements. Without Gramine or EGo it says what is missing and renders the
# manifests for reading only. Called by `make enclave`. Not run on hardware.
#
#   BIN OUT [KEY]    KEY: RSA key of 3072 bits, exponent 3, in PEM; it names the signer, participants pin the measurement
# Environment: VAULTS (file of vaults), PREMAIN (premain-libos), WORKER_SIZE (16G), COORDINATOR_SIZE (2G), WORKER_THREADS (64), COORDINATOR_THREADS (32)
set -euo pipefail
bin=$(realpath "$1") out=$2 key=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(realpath "$out")
rm -f "$out/measurements"
missing=()

render() { # NAME SIZE THREADS VAULTS
  local set=("bin=$bin" "size=$2" "threads=$3" "vaults=$4" "premain=${PREMAIN:-}" "arch_libdir=/lib/x86_64-linux-gnu")
  if command -v gramine-manifest >/dev/null; then
    gramine-manifest "${set[@]/#/-D}" "$here/$1.manifest.template" "$out/$1.manifest"
  else
    python3 "$here/render.py" "$here/$1.manifest.template" "${set[@]}" > "$out/$1.manifest"
  fi
  echo "rendered   $out/$1.manifest"
}

sign() { # NAME
  if ! command -v gramine-sgx-sign >/dev/null; then missing+=("gramine-sgx-sign"); return; fi
  if [ -z "$key" ]; then missing+=("a signing key (KEY=FILE)"); return; fi
  gramine-sgx-sign --key "$key" --manifest "$out/$1.manifest" --output "$out/$1.manifest.sgx" >/dev/null
  local enclave
  enclave=$(gramine-sgx-sigstruct-view --output-format toml "$out/$1.sig" | sed -n 's/^mr_enclave = "\(.*\)"/\1/p')
  echo "measured   $1 $enclave"
  echo "$enclave  $1" >> "$out/measurements" # as `concordat mesh setup --measurements` reads them; MarbleRun's own UniqueID is added by hand
}

command -v gramine-manifest >/dev/null || missing+=("gramine-manifest")
render concordat-worker "${WORKER_SIZE:-16G}" "${WORKER_THREADS:-64}" "${VAULTS:-}"
render concordat-coordinator "${COORDINATOR_SIZE:-2G}" "${COORDINATOR_THREADS:-32}" ""
sign concordat-worker
sign concordat-coordinator

if command -v ego >/dev/null; then
  # EGo builds with its own compiler, so that system calls go to its library.
  (cd "$here/../../coordinator" && CGO_ENABLED=1 ego-go build -trimpath -buildvcs=false -o "$out/concordat-coordinator" ./cmd/concordat-coordinator)
  cp "$here/enclave.json" "$out/enclave.json"
  [ -z "$key" ] || cp "$key" "$out/private.pem"
  (cd "$out" && ego sign enclave.json && rm -f private.pem)
  echo "measured   concordat-coordinator under EGo $(ego uniqueid "$out/concordat-coordinator")"
else
  missing+=("ego")
fi

if [ ${#missing[@]} -gt 0 ]; then
  printf 'missing    %s\n' "${missing[@]}" | sort -u
  echo "Nothing was signed by what is missing: docs/ENCLAVES.md says where to get it."
fi
