#!/usr/bin/env bash
# Bytes of one connection through `protocol = "tcp"`, up and down, beside haproxy in its mode for TCP: rounds that take turns, and the
# ratio of the medians. SECONDS_EACH and ROUNDS make it shorter.
source "$(dirname "$0")/lib.sh"
readonly RATIO_MIN=0.9 ROUNDS="${ROUNDS:-5}" SECONDS_EACH="${SECONDS_EACH:-5}"

build
served="$(free_port)" direct="$(free_port)" beside="$(free_port)" admin="$(free_port)"
start iperf iperf3 --server --forceflush --bind 127.0.0.1 --port "$served"
await grep -q "Server listening" "$work/iperf.log"
cat >"$work/haproxy.cfg" <<END
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen through
    bind 127.0.0.1:$beside
    server iperf 127.0.0.1:$served
END
start haproxy haproxy -db -f "$work/haproxy.cfg"
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.through]
listen = "127.0.0.1:$direct"
protocol = "tcp"
cluster = "iperf"
[clusters.iperf]
endpoints = ["127.0.0.1:$served"]
END

# Gigabits a second that arrived through a port; further arguments are the client's.
measure() {
    local through="$1"
    shift
    iperf3 --client 127.0.0.1 --port "$through" --time "$SECONDS_EACH" --json "$@" |
        python3 -c 'import json, sys; print(round(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"] / 1e9, 2))'
}

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
enough() { awk -v ratio="$1" -v least="$RATIO_MIN" 'BEGIN { exit !(ratio >= least) }'; }

await measure "$beside" --time 1
for way in up down; do
    reverse=()
    if [ "$way" = down ]; then reverse=(--reverse); fi
    : >"$work/tamis.$way"
    : >"$work/haproxy.$way"
    for round in $(seq "$ROUNDS"); do
        measure "$beside" "${reverse[@]}" >>"$work/haproxy.$way"
        measure "$direct" "${reverse[@]}" >>"$work/tamis.$way"
        say "$way, round $round: haproxy $(tail -n 1 "$work/haproxy.$way"), tamis $(tail -n 1 "$work/tamis.$way") Gbit/s"
    done
    haproxy="$(median <"$work/haproxy.$way")" ours="$(median <"$work/tamis.$way")"
    ratio="$(awk -v ours="$ours" -v theirs="$haproxy" 'BEGIN { printf "%.2f", ours / theirs }')"
    must "$way: $ours of haproxy's $haproxy Gbit/s, ratio $ratio" enough "$ratio"
done
