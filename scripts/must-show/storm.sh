#!/usr/bin/env bash
# All endpoints fail, under 1,000 requests a second for 30 seconds, with three further attempts allowed: the endpoints get at most 1.2
# times as many requests, and 10 a second besides. The floor may be spent in advance for the window, so the load lasts for whole ones.
source "$(dirname "$0")/lib.sh"
readonly SECONDS_OF_LOAD=30 CLIENTS=10 RATE=100 PERCENT=20 FLOOR=10 WINDOW=10 ENDPOINTS=3

build
port="$(free_port)" admin="$(free_port)"
endpoints=() addresses=""
for number in $(seq "$ENDPOINTS"); do
    address="127.0.0.1:$(free_port)"
    start_origin_at "origin$number" "$address"
    endpoints+=("$address")
    addresses+="\"$address\", "
done
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "users"
[clusters.users]
endpoints = [$addresses]
[clusters.users.retry]
attempts = 4
on = ["5xx"]
[clusters.users.retry-budget]
percent = $PERCENT
minimum = $FLOOR
window = "${WINDOW}s"
END

metric() { curl --silent --fail "http://127.0.0.1:$admin/metrics" | awk -v series="$1" '$1 == series { print $2 }'; }

h2load -c "$CLIENTS" -m 10 --rps "$RATE" -D "$SECONDS_OF_LOAD" "http://127.0.0.1:$port/busy" >"$work/h2load.txt"
grep -E '^(finished|requests|status codes)' "$work/h2load.txt"
downstream="$(sed -n 's/^requests: .*, \([0-9]*\) started.*/\1/p' "$work/h2load.txt")"
upstream=0
for endpoint in "${endpoints[@]}"; do
    upstream="$((upstream + $(curl --silent --fail "http://$endpoint/busy/count")))"
done
most="$((downstream * (100 + PERCENT) / 100 + FLOOR * SECONDS_OF_LOAD))"
must "$downstream requests reached the proxy, some 1,000 a second" test "$downstream" -ge "$((SECONDS_OF_LOAD * 900))"
must "the endpoints got $upstream, at most $most" test "$upstream" -le "$most"
must "retries were made: $(metric 'tamis_cluster_retries_total{cluster="users"}')" test "$upstream" -gt "$((downstream * 110 / 100))"
refused="$(metric 'tamis_cluster_retries_refused_total{cluster="users",by="budget"}')"
must "and refused by the budget: $refused" test "$refused" -gt 0
