#!/bin/sh
# Builds the filter into build/, or into the file that is named, with the zig that is there: on the path, or as the Python package
# `ziglang`.
set -eu
out=${1:-build/no-tracking.wasm}
cd "$(dirname "$0")"
if command -v zig >/dev/null; then zig=zig; else zig="${PYTHON:-python3} -m ziglang"; fi
mkdir -p build
$zig build-exe src/filter.zig -target wasm32-freestanding -O ReleaseSmall -fno-entry -rdynamic --stack 65536 \
    -femit-bin="$out"
