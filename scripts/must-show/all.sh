#!/usr/bin/env bash
# Every script of this folder, one after the other.
set -euo pipefail
cd "$(dirname "$0")"
for script in demo swap h2load memory images mistakes python runaway traps swaps waiting split quota shadow acl storm revive endpoints latency certificates tls telemetry languages sidecar upgrade callout proxy-wasm; do
    echo "== $script"
    "./$script.sh"
done
