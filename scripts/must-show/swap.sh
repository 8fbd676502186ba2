#!/usr/bin/env bash
# A watched module alternates every 300 ms between two builds while wrk sends for 30 s: at least 60 swaps, no failed request.
source "$(dirname "$0")/lib.sh"
seconds="${1:-30}"

build
port="$(free_port)" admin="$(free_port)"
start_origin
cp "$guests/stamp_a.wasm" "$work/stamp.wasm"
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "origin"
filters = ["stamp"]
[filters.stamp]
module = "stamp.wasm"
[clusters.origin]
endpoints = ["$origin"]
END

swaps() {
    curl --silent --fail "http://127.0.0.1:$admin/filters" |
        python3 -c 'import json, sys; print([f["swaps"] for f in json.load(sys.stdin)["filters"] if f["name"] == "stamp"][0])'
}

alternate() {
    while true; do
        for build in stamp_b stamp_a; do
            cp "$guests/$build.wasm" "$work/next.wasm"
            mv "$work/next.wasm" "$work/stamp.wasm"
            sleep 0.3
        done
    done
}

before="$(swaps)"
alternate &
alternating=$!
wrk -t2 -c64 -d"${seconds}s" "http://127.0.0.1:$port/" | tee "$work/wrk.txt"
kill "$alternating"
count="$(($(swaps) - before))"
say "$count swaps in $seconds s; the admin says: $(curl --silent "http://127.0.0.1:$admin/filters")"
must "at least two swaps a second" test "$count" -ge "$((seconds * 2))"
must "no socket error" test -z "$(grep 'Socket errors' "$work/wrk.txt" || true)"
must "no answer but 2xx and 3xx" test -z "$(grep 'Non-2xx' "$work/wrk.txt" || true)"
