#!/usr/bin/env bash
# Eight tamis processes share one Redis and a limit of 1,000 a second (and a burst of as many). At 5,000 a second offered they admit between 990 and
# 1,050 a second over 30 s. Then, below the limit, Redis is stopped (SIGSTOP) in the middle of a run: the p99 rises by at most 25 ms,
# against a run without that, and nobody gets an error.
# Each process gets its share from an h2load of its own, which sends at a fixed rate whatever comes back.
source "$(dirname "$0")/lib.sh"
readonly PROCESSES=8 LIMIT=1000 OFFERED=5000 SECONDS_MEASURED=30 CONNECTIONS=5
readonly LOSS_OFFERED=800 LOSS_SECONDS=10 RISE_US_MAX=25000

build
start_origin

redis_port="$(free_port)"
start redis redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no --dir "$work"
redis="$process"
await redis-cli -p "$redis_port" ping

ports=() admins=()
for number in $(seq "$PROCESSES"); do
    port="$(free_port)" admin="$(free_port)"
    ports+=("$port") admins+=("$admin")
    cat >"$work/tamis-$number.toml" <<END
workers = 1
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "service"
filters = ["quota"]
[stores.quota]
backend = "redis"
url = "redis://127.0.0.1:$redis_port"
[filters.quota]
module = "builtin:quota"
allow = { stores = ["quota"] }
[[filters.quota.config.rules]]
name = "all"
limit = "$LIMIT/s"
[clusters.service]
endpoints = ["$origin"]
END
    start "tamis-$number" "$tamis" run -c "$work/tamis-$number.toml"
    await curl --silent --fail "http://127.0.0.1:$admin/ready"
done
fleet_is_whole() { curl --silent "http://127.0.0.1:${admins[0]}/metrics" | grep -q "^tamis_store_processes.* $PROCESSES\$"; }
await fleet_is_whole

# Offers so many a second for so long, dealt out over the processes; each exchange is a line in $work/load-*.
offer() {
    local rate="$1" seconds="$2" port loads=()
    rm -f "$work"/load-*
    for port in "${ports[@]}"; do
        h2load -D "$seconds" -c "$CONNECTIONS" -m 100 --rps "$((rate / PROCESSES / CONNECTIONS))" --log-file "$work/load-$port" \
            "http://127.0.0.1:$port/" >"$work/h2load-$port.txt" &
        loads+=("$!")
    done
    wait "${loads[@]}"
}

# How many exchanges had this status, in the whole seconds of the measure; errors have none that begins with 2 or 4.
admitted() { cat "$work"/load-* | awk -v seconds="$1" '
    NR == 1 || $1 < first { first = $1 }
    { if ($2 == 200) times[++n] = $1; all++; if ($2 != 200 && $2 != 429) errors++ }
    END { for (i = 1; i <= n; i++) if (times[i] - first < seconds * 1e6) ok++; printf "%d %d %d\n", ok / seconds, all / seconds, errors }'; }
p99() { cat "$work"/load-* | awk '{ print $3 }' | sort -n | awk '{ all[NR] = $1 } END { print all[int(NR * 0.99)] }'; }
errors() { cat "$work"/load-* | awk '$2 != 200 && $2 != 429 { n++ } END { print n + 0 }'; }
store_metric() {
    local admin
    for admin in "${admins[@]}"; do curl --silent "http://127.0.0.1:$admin/metrics"; done |
        awk -v name="tamis_store_$1{" 'index($1, name) == 1 { sum += $2 } END { print sum + 0 }'
}

say "$PROCESSES processes, a limit of $LIMIT/s, $OFFERED/s offered for $SECONDS_MEASURED s"
before="$(store_metric round_trips_total)"
offer "$OFFERED" "$SECONDS_MEASURED"
read -r each_second offered failed <<<"$(admitted "$SECONDS_MEASURED")"
trips=$((($(store_metric round_trips_total) - before) / SECONDS_MEASURED))
say "  $each_second/s admitted of $offered/s; $trips round trips a second, $(store_metric leased_decisions_total) decisions without one; p99 $(p99) us"
must "between 990 and 1,050 a second are admitted" test "$each_second" -ge 990 -a "$each_second" -le 1050
must "5,000 a second were offered" test "$offered" -ge $((OFFERED * 98 / 100))
must "every answer was 200 or 429" test "$failed" = 0

say "$LOSS_OFFERED/s offered for $LOSS_SECONDS s, with Redis and then with one that is stopped after 3 s"
offer "$LOSS_OFFERED" "$LOSS_SECONDS"
with="$(p99)"
(sleep 3 && kill -STOP "$redis") &
offer "$LOSS_OFFERED" "$LOSS_SECONDS"
without="$(p99)"
say "  p99 $with us with Redis, $without us without; $(store_metric losses_total) losses, $(store_metric local_decisions_total) decisions by share"
must "Redis was lost" test "$(store_metric losses_total)" -ge "$PROCESSES"
must "every answer was 200 or 429" test "$(errors)" = 0
must "the p99 rises by at most 25 ms" test "$((without - with))" -le "$RISE_US_MAX"
kill -CONT "$redis"
found_again() { test "$(store_metric connected)" = "$PROCESSES"; }
await found_again
say "  all found Redis again"
