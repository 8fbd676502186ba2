#!/usr/bin/env bash
# Every request is copied to a cluster that takes requests and never answers: the p99 of the exchanges themselves is that of a listener
# without the filter, within 10 percent. Five rounds each, in turns, at an even, fixed rate of about 30 % of what the proxy can do here
# with copies; the median of the rounds is compared. Requests come over HTTP/1.1, at equal distances.
source "$(dirname "$0")/lib.sh"
readonly ROUNDS=5 SECONDS_A_ROUND=6 CONNECTIONS=32 LOAD_PERCENT=30 P99_PERCENT_MAX=110

build
cargo build --quiet --release --package tamis-benches --bin pace
pace="$built/release/pace"
start_origin
# Takes connections and requests, and answers nothing.
cat >"$work/hang.py" <<'END'
import asyncio

async def hang(reader, writer):
    while await reader.read(65536):
        pass
    writer.close()

async def main():
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()

asyncio.run(main())
END
start hang python3 "$work/hang.py"
await grep -q : "$work/hang.log"
hang="$(head -n 1 "$work/hang.log")"

port_off="$(free_port)" port_on="$(free_port)" admin="$(free_port)"
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.off]
listen = "127.0.0.1:$port_off"
cluster = "origin"
[listeners.on]
listen = "127.0.0.1:$port_on"
cluster = "origin"
filters = ["shadow"]
[clusters.origin]
endpoints = ["$origin"]
[clusters.hang]
endpoints = ["$hang"]
[filters.shadow]
module = "builtin:shadow"
config = { rules = [{ cluster = "hang" }] }
END

# Requests a second that the listener with copies answers when it is asked for all it can.
most() {
    h2load --h1 -c "$CONNECTIONS" -D 3 "http://127.0.0.1:$port_on/" | sed -n 's/^finished in .*, \([0-9]*\)\..* req\/s.*/\1/p'
}

# The p99 of one round against a port, in microseconds; how many requests it had, and the CPU time of the proxy for each.
cpu() { awk '{ print ($14 + $15) * 10000 }' "/proc/$tamis_process/stat"; }

p99() {
    local before
    before="$(cpu)"
    "$pace" "http://127.0.0.1:$1/" --rate "$rate" --connections "$CONNECTIONS" --seconds "$SECONDS_A_ROUND" >"$work/pace.json"
    python3 - "$work/pace.json" "$(($(cpu) - before))" <<'END'
import json, sys

told = json.load(open(sys.argv[1]))
assert told["failed"] == 0, told
print(told["p99_us"], told["requests"], int(sys.argv[2]) // told["requests"], told["tail"]["windows"], told["tail"]["worst"][0]["requests"])
END
}

median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

# Of a counter, all its series together.
counted() { curl --silent "http://127.0.0.1:$admin/metrics" | awk -v name="^$1" '$0 ~ name { sum += $2 } END { print sum + 0 }'; }

most="$(most)"
rate="$((most * LOAD_PERCENT / 100))"
say "at most $most exchanges a second with copies; measured at $rate on $CONNECTIONS connections"
before="$(counted shadow_copies_total)"
off=() on=() copied=0
for round in $(seq "$ROUNDS"); do
    read -r took without_requests without_cpu without_windows without_worst <<<"$(p99 "$port_off")"
    off+=("$took")
    read -r took with_requests with_cpu with_windows with_worst <<<"$(p99 "$port_on")"
    on+=("$took")
    copied="$((copied + with_requests))"
    say "  round $round: without copies p99 ${off[-1]} us, $without_requests requests of $without_cpu us of CPU; with copies that hang ${on[-1]} us, $with_requests of $with_cpu us"
    # The slowest hundredth of a round is spread over all of it, or behind a few stalls.
    say "    the slowest were due in $without_windows windows of 10 ms, $without_worst in one; with copies in $with_windows, $with_worst in one"
done
without="$(median "${off[@]}")" with="$(median "${on[@]}")"
asked="$(($(counted shadow_copies_total) - before))"
must "each of $copied exchanges was to be copied: the filter counted $asked" test "$asked" -ge "$copied"
# Those under way have no result yet.
must "the proxy counted what became of them" test "$(counted tamis_copies_total)" -ge "$((copied * 9 / 10))"
must "the median p99 is $with us with copies, $without us without: within 10 percent" \
    test "$((with * 100))" -le "$((without * P99_PERCENT_MAX))"
