#!/usr/bin/env bash
# Three of ten endpoints are killed and started again, three times, under 1,000 requests a second: with retries on, no client sees an
# error but within the first second after each kill. Attempts reach past three dead endpoints in a row; outlier detection leaves them
# out before the budget is spent, for a time that is short enough to see them back between two kills.
source "$(dirname "$0")/lib.sh"
readonly ENDPOINTS=10 VICTIMS=3 ROUNDS=3 CLIENTS=20 RATE=50 SECONDS_OF_LOAD=32

build
port="$(free_port)" admin="$(free_port)"
endpoints=() processes=() addresses=""
for number in $(seq 0 "$((ENDPOINTS - 1))"); do
    endpoints[number]="127.0.0.1:$(free_port)"
    start_origin_at "origin$number" "${endpoints[number]}"
    processes[number]="$process"
    addresses+="\"${endpoints[number]}\", "
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
on = ["connect", "reset"]
[clusters.users.outliers]
ejection = "2s"
END

start h2load h2load -c "$CLIENTS" -m 10 --rps "$RATE" -D "$SECONDS_OF_LOAD" --log-file "$work/requests.txt" "http://127.0.0.1:$port/"
load="$process"
sleep 2
: >"$work/kills.txt"
for round in $(seq "$ROUNDS"); do
    date +%s%6N >>"$work/kills.txt"
    for victim in $(seq 0 "$((VICTIMS - 1))"); do
        kill -KILL "${processes[victim]}"
        wait "${processes[victim]}" 2>/dev/null || true
    done
    sleep 5
    for victim in $(seq 0 "$((VICTIMS - 1))"); do
        start_origin_at "origin$victim-$round" "${endpoints[victim]}"
        processes[victim]="$process"
    done
    sleep 4
done
wait "$load"
grep -E '^(finished|requests|status codes)' "$work/h2load.log"
curl --silent --fail "http://127.0.0.1:$admin/metrics" | grep -E '^tamis_cluster_(retries|overflows)'

# Columns: when it began (microseconds), status, how long it took (microseconds).
read -r all early late < <(awk '
    FNR == NR { kill[FNR] = $1; kills = FNR; next }
    { all++ }
    $2 != 200 {
        ended = $1 + $3
        near = 0
        for (number = 1; number <= kills; number++) if ($1 >= kill[number] - 1000000 && ended <= kill[number] + 1000000) near = 1
        if (near) early++; else late++
    }
    END { print all + 0, early + 0, late + 0 }' "$work/kills.txt" "$work/requests.txt")
must "$all requests, some 1,000 a second" test "$all" -ge "$((SECONDS_OF_LOAD * 900))"
must "no error later than a second after a kill: $late (within it: $early)" test "$late" -eq 0
