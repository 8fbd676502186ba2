#!/usr/bin/env bash
# The acl filter with a list of a million ranges: live in under 3 s, the proxy under 100 MiB with it (Pss), and what a lookup costs in
# the bench and in the filter as it runs.
source "$(dirname "$0")/lib.sh"
readonly LIVE_MS_MAX=3000 PSS_KIB_MAX=$((100 * 1024))

build
start_origin
seq 0 999999 | awk '{ at = $1 * 4096; printf "%d.%d.%d.%d-%d.%d.%d.%d\n", at/16777216, at/65536%256, at/256%256, at%256, at/16777216, at/65536%256, (at/256+3)%256, 231 }' >"$work/blocked.txt"
say "$(wc -l <"$work/blocked.txt") ranges, $(wc -c <"$work/blocked.txt") bytes; the last is $(tail -n 1 "$work/blocked.txt")"

now_ms() { echo $(($(date +%s%N) / 1000000)); }
status() { curl --silent --output /dev/null --write-out '%{http_code}' -H "x-forwarded-for: $1" "http://127.0.0.1:$port/"; }

for what in cold "from the cache"; do
    port="$(free_port)" admin="$(free_port)"
    began="$(now_ms)"
    start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
modules = { cache = "$work/cache" }
drain = { pre-stop = "0s" }
[listeners.plain]
listen = "127.0.0.1:$port"
cluster = "origin"
filters = ["acl"]
trusted = ["127.0.0.0/8"]
[clusters.origin]
endpoints = ["$origin"]
[filters.acl]
module = "builtin:acl"
memory = "128MiB"
inputs = { blocked = "$work/blocked.txt" }
config = { default = "allow", rules = [{ action = "deny", list = "blocked" }] }
END
    await curl --silent "http://127.0.0.1:$port/"
    took=$(($(now_ms) - began))
    must "$what: live after $took ms, under $LIVE_MS_MAX" test "$took" -lt "$LIVE_MS_MAX"
    must "who is in a range is denied, who is not passes" test "$(status 10.16.0.1) $(status 10.16.8.1)" = "403 200"
    pss="$(awk '/^Pss:/ { print $2 }' "/proc/$tamis_process/smaps_rollup")"
    must "$what: $pss KiB (Pss), under $PSS_KIB_MAX; at its peak $(awk '/VmHWM/ { print $2 }' "/proc/$tamis_process/status") KiB" test "$pss" -lt "$PSS_KIB_MAX"
    kill "$tamis_process"
    wait "$tamis_process" 2>/dev/null || true
done
(cd filters && CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}" cargo bench --quiet -p acl -- --noplot 2>/dev/null | grep -E "time:|^a-million")
