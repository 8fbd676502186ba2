#!/usr/bin/env bash
# 5,000 exchanges wait in `http-client.send` for a service that answers after a second, on one worker and on two: all are answered
# 200, and the proxy stays under 400 MiB, its start included. With a service that takes 5 s all of them wait at the same moment.
# Memory is what the proxy has resident, pages that instances share counted once: VmRSS and VmHWM count what a filter's memory begins
# with anew for each instance that has looked at it, although it is there once (36 KiB in this filter, 156 MiB for 5,000 instances).
# What has to be raised for so many: `limits.instances` (2,000), the filter's `instances-max` (1,000), and `requests` and `pending` of
# the cluster (1,024). A worker gets half of the
# latter, and of two workers one can get more than half of the connections. The deadline (5 ms of CPU time) is raised as well: what a
# hypervisor takes away in the middle of a hook counts as the hook's, which happens to one of some 60,000 here.
# Requests come over HTTP/2, 50 connections with 100 streams each, and go out over HTTP/2 as well.
source "$(dirname "$0")/lib.sh"
readonly EXCHANGES=5000 CONNECTIONS=50 STREAMS=100 MEMORY_KIB_MAX=$((400 * 1024))

build
cp "$guests/caller.wasm" "$work"
start_origin

peak_as_mapped() { awk '/VmHWM/ { print $2 }' "/proc/$tamis_process/status"; }

# Writes the most that was resident, shared pages left out, to $work/resident; looks twenty times a second.
watch_memory() {
    local most=0 now
    while now="$(awk '/^Rss(Anon|File)/ { sum += $2 } END { print sum }' "/proc/$tamis_process/status")" && test -n "$now"; do
        if test "$now" -gt "$most"; then
            most="$now" && echo "$most" >"$work/resident"
        fi
        sleep 0.05
    done 2>/dev/null
}
peak() { cat "$work/resident"; }

# One line for each exchange: when it began, its status, how long it took; times in microseconds.
told() {
    python3 - "$work/exchanges" "$1" <<'END'
import sys

rows = [tuple(map(int, line.split())) for line in open(sys.argv[1])]
took = sorted(row[2] for row in rows)
wait = int(sys.argv[2]) * 1000
edges = sorted([(began, 1) for began, _, _ in rows] + [(began + us, -1) for began, _, us in rows])
at_once = most = 0
for _, step in edges:
    at_once += step
    most = max(most, at_once)
whole = max(began + us for began, _, us in rows) - min(began for began, _, _ in rows)
print(f"  each took {took[0] / 1e6:.2f} to {took[-1] / 1e6:.2f} s, p50 {took[len(took) // 2] / 1e6:.2f} s; all {whole / 1e6:.2f} s; at most {most} at once")
sys.exit(0 if took[0] >= wait and most == len(rows) else 1)
END
}

for workers in 1 2; do
    for wait_ms in 1000 5000; do
        port="$(free_port)" admin="$(free_port)"
        start_tamis <<END
workers = $workers
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
limits = { instances = 6000 }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "service"
filters = ["caller"]
[filters.caller]
module = "caller.wasm"
instances-max = 10000
deadline = "50ms"
allow = { clusters = ["service"] }
[clusters.service]
endpoints = ["$origin"]
protocol = "h2"
limits = { requests = 10000, pending = 10000 }
END
        say "workers = $workers, the service answers after $wait_ms ms; VmHWM after the start: $(peak_as_mapped) KiB"
        rm -f "$work/exchanges"
        watch_memory &
        watching=$!
        h2load -n "$EXCHANGES" -c "$CONNECTIONS" -m "$STREAMS" --log-file="$work/exchanges" \
            -H "x-call: service GET /wait/$wait_ms" "http://127.0.0.1:$port/" >"$work/h2load.txt"
        grep -E '^(finished|requests|status codes)' "$work/h2load.txt"
        grep WARN "$work/tamis.log" | tail -n 3 || true
        must "all are answered 200" grep -q "status codes: $EXCHANGES 2xx" "$work/h2load.txt"
        must "each waited $wait_ms ms, and all of them at once" told "$wait_ms"
        say "  the most that waited in the service at once: $(curl --silent "http://$origin/waiting/most")"
        sleep 0.1
        kill "$watching"
        say "  VmHWM: $(peak_as_mapped) KiB"
        must "at most $(peak) KiB were resident, under 400 MiB" test "$(peak)" -lt "$MEMORY_KIB_MAX"
        kill "$tamis_process"
    done
done
