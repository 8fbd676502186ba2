#!/usr/bin/env bash
# 1,000 swaps between two builds, pushed through the admin while wrk sends: no request fails; resident memory after them is within
# 15 percent of that after 50; threads and file descriptors are as many as before.
source "$(dirname "$0")/lib.sh"
readonly EARLY=50 SWAPS=1000 MEMORY_PERCENT_MAX=115

build
port="$(free_port)" admin="$(free_port)"
start_origin
cp "$guests"/stamp_{a,b}.wasm "$work"
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "origin"
filters = ["stamp"]
[filters.stamp]
module = "stamp_a.wasm"
[clusters.origin]
endpoints = ["$origin"]
END

swaps() {
    curl --silent --fail "http://127.0.0.1:$admin/filters/stamp" | python3 -c 'import json, sys; print(json.load(sys.stdin)["swaps"])'
}

resident() { awk '/VmRSS/ { print $2 }' "/proc/$tamis_process/status"; }
threads() { awk '/Threads/ { print $2 }' "/proc/$tamis_process/status"; }
# Without sockets: their number is wrk's doing.
descriptors() { find "/proc/$tamis_process/fd" -mindepth 1 -printf '%l\n' | grep -cv '^socket:'; }
sockets() { find "/proc/$tamis_process/fd" -mindepth 1 -printf '%l\n' | grep -c '^socket:'; }

# Pushes the builds in turn, so many times in all; each push is answered when it is live.
push() {
    local pushed status build
    for pushed in $(seq "$1"); do
        build="$work/stamp_$(test "$((pushed % 2))" = 1 && echo b || echo a).wasm"
        status="$(curl --silent --output "$work/said" --write-out '%{http_code}' --upload-file "$build" \
            "http://127.0.0.1:$admin/filters/stamp/module")"
        test "$status" = 200 || must "push $pushed is taken: $status $(cat "$work/said")" false
    done
}

before="$(swaps)"
start wrk wrk -t2 -c64 -d1h "http://127.0.0.1:$port/"
wrk="$process"
await test "$(sockets)" -ge 64
push "$EARLY"
early="$(resident)" early_threads="$(threads)" early_descriptors="$(descriptors)" early_sockets="$(sockets)"
began="$SECONDS"
push "$((SWAPS - EARLY))"
late="$(resident)" late_threads="$(threads)" late_descriptors="$(descriptors)" late_sockets="$(sockets)"
count="$(($(swaps) - before))"
say "the last $((SWAPS - EARLY)) swaps took $((SECONDS - began)) s"
kill -INT "$wrk"
wait "$wrk"
cat "$work/wrk.log"
must "$count swaps, at least $SWAPS" test "$count" -ge "$SWAPS"
must "no socket error" test -z "$(grep 'Socket errors' "$work/wrk.log" || true)"
must "no answer but 2xx and 3xx" test -z "$(grep 'Non-2xx' "$work/wrk.log" || true)"
must "VmRSS is $early KiB after $EARLY swaps and $late KiB after $SWAPS" test "$((late * 100))" -le "$((early * MEMORY_PERCENT_MAX))"
must "$early_threads threads then, $late_threads now" test "$early_threads" = "$late_threads"
must "$early_descriptors file descriptors besides sockets then, $late_descriptors now" test "$early_descriptors" = "$late_descriptors"
say "  sockets under load: $early_sockets then, $late_sockets now"
