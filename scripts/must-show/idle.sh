#!/usr/bin/env bash
# Idle connections of clients, plain and over TLS, each after one request: what one takes of the memory of the release binary, and the
# same for raw connections, which have another one behind them. COUNT makes it smaller.
source "$(dirname "$0")/lib.sh"
readonly COUNT="${COUNT:-10000}" PLAIN_KIB_MAX=12 TLS_KIB_MAX=35

ulimit -n "$(ulimit -Hn)"
files="$(ulimit -n)"
if [ "$files" = unlimited ]; then files=$((COUNT * 3)); fi
# A raw connection takes two files of the proxy.
raw_count=$((COUNT * 2 + 1000 < files ? COUNT : (files - 1000) / 2))
build
plain="$(free_port)" tls="$(free_port)" raw="$(free_port)" admin="$(free_port)"
start_origin
make_certificate

# A proxy of its own for each measure: what an earlier one has given back would be used again.
start_proxy() {
    start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[limits]
connections = $((COUNT + 1000))
[listeners.plain]
listen = "127.0.0.1:$plain"
cluster = "origin"
limits = { connections = $((COUNT + 100)) }
timeouts = { idle = "10m" }
[listeners.tls]
listen = "127.0.0.1:$tls"
cluster = "origin"
limits = { connections = $((COUNT + 100)) }
timeouts = { idle = "10m" }
tls = { certificates = [{ chain = "edge.pem", key = "edge.key" }] }
[listeners.raw]
listen = "127.0.0.1:$raw"
protocol = "tcp"
cluster = "origin"
limits = { connections = $((COUNT + 100)) }
[clusters.origin]
endpoints = ["$origin"]
limits = { connections = $((COUNT + 100)) }
END
}

cat >"$work/idle.py" <<'END'
"""Opens connections, one request on each, says so, and keeps them until its input ends."""

import socket
import ssl
import sys

port, count, tls = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "tls"
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
kept = []
for number in range(count):
    # Each source address has ports for so many.
    source = f"127.0.0.{2 + number // 20000}"
    connection = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
    if tls:
        connection = context.wrap_socket(connection)
    connection.sendall(b"GET /bytes/1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 200"), number
    kept.append(connection)
print("open", flush=True)
sys.stdin.read()
END

memory() { awk '/^Pss:/ { print $2 }' "/proc/$tamis_process/smaps_rollup"; }
fits() { awk -v used="$1" -v most="$2" 'BEGIN { exit !(used < most) }'; }

# What each of so many connections takes, in KiB; it is in $each.
measure() {
    local what="$1" port="$2" count="$3" before after
    start_proxy
    # What the first ones take is taken once.
    echo | python3 "$work/idle.py" "$port" 100 "$what" >/dev/null
    sleep 1
    before="$(memory)"
    mkfifo "$work/$what.$port"
    python3 "$work/idle.py" "$port" "$count" "$what" <"$work/$what.$port" >"$work/clients.log" &
    started+=("$!")
    exec 7>"$work/$what.$port"
    for _ in $(seq 600); do
        if grep -q open "$work/clients.log"; then break; fi
        sleep 0.5
    done
    must "$count connections are open" grep -q open "$work/clients.log"
    sleep 1
    after="$(memory)"
    exec 7>&-
    wait "${started[-1]}" || true
    kill -9 "$tamis_process"
    wait "$tamis_process" 2>/dev/null || true
    each="$(awk -v before="$before" -v after="$after" -v count="$count" 'BEGIN { printf "%.1f", (after - before) / count }')"
}

measure plain "$plain" "$COUNT"
must "plain: $each KiB a connection, under $PLAIN_KIB_MAX" fits "$each" "$PLAIN_KIB_MAX"
measure tls "$tls" "$COUNT"
must "TLS: $each KiB a connection, under $TLS_KIB_MAX" fits "$each" "$TLS_KIB_MAX"
measure plain "$raw" "$raw_count"
say "  raw ($raw_count): $each KiB for a connection and the one behind it"
