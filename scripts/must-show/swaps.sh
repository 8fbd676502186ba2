#!/usr/bin/env bash
# 1,000 swaps between two builds, pushed through the admin while wrk sends: no request fails; resident memory after them is within
# 15 percent of that after 50; threads are as many as before, and so are file descriptors once the load and its connections are gone.
source "$(dirname "$0")/lib.sh"
readonly EARLY=50 SWAPS=1000 MEMORY_PERCENT_MAX=115 WARM_UP_SECONDS=30

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
timeouts = { idle = "1s" }
END

swaps() {
    curl --silent --fail "http://127.0.0.1:$admin/filters/stamp" | python3 -c 'import json, sys; print(json.load(sys.stdin)["swaps"])'
}

resident() { awk '/VmRSS/ { print $2 }' "/proc/$tamis_process/status"; }
threads() { awk '/Threads/ { print $2 }' "/proc/$tamis_process/status"; }
descriptors() { find "/proc/$tamis_process/fd" -mindepth 1 | wc -l; }
# The admin's own connection ends a moment after its answer.
descriptors_are() { test "$(descriptors)" -eq "$1"; }

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

# Both builds are compiled and stay remembered, each with a file of the memory it begins with.
push 2
before="$(swaps)" idle_threads="$(threads)"
sleep 0.1
idle_descriptors="$(descriptors)"
start wrk wrk -t2 -c64 -d1h "http://127.0.0.1:$port/"
wrk="$process"
say "VmRSS with the load's first connections: $(resident) KiB"
# The load itself lets the heap grow for a while, without a single swap.
sleep "$WARM_UP_SECONDS"
say "VmRSS after $WARM_UP_SECONDS s of it: $(resident) KiB"
push "$EARLY"
early="$(resident)"
began="$SECONDS"
push "$((SWAPS - EARLY))"
late="$(resident)" late_threads="$(threads)"
count="$(($(swaps) - before))"
say "the last $((SWAPS - EARLY)) swaps took $((SECONDS - began)) s"
kill -INT "$wrk"
wait "$wrk"
cat "$work/wrk.log"
must "$count swaps, at least $SWAPS" test "$count" -ge "$SWAPS"
must "no socket error" test -z "$(grep 'Socket errors' "$work/wrk.log" || true)"
must "no answer but 2xx and 3xx" test -z "$(grep 'Non-2xx' "$work/wrk.log" || true)"
must "VmRSS is $early KiB after $EARLY swaps and $late KiB after $SWAPS" test "$((late * 100))" -le "$((early * MEMORY_PERCENT_MAX))"
must "$idle_threads threads before, $late_threads after them" test "$late_threads" = "$idle_threads"
await descriptors_are "$idle_descriptors"
must "$idle_descriptors file descriptors before, $(descriptors) after them" descriptors_are "$idle_descriptors"
