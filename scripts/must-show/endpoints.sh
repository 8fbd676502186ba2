#!/usr/bin/env bash
# A list of 10,000 endpoints is replaced as a whole, again and again, while wrk sends: no request fails, and each swap takes less
# than 50 ms of CPU on the control runtime. All endpoints are addresses of 127.0.0.0/8 at which one origin listens.
source "$(dirname "$0")/lib.sh"
readonly ENDPOINTS=10000 SWAPS=20 CPU_MS_MAX=50 PAUSE_SECONDS=1

build
port="$(free_port)" admin="$(free_port)" served="$(free_port)"

# Answers at every address of this machine.
cat >"$work/origin.py" <<'END'
import asyncio, sys

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n"

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", int(sys.argv[1]), backlog=4096)
    async with server:
        await server.serve_forever()

asyncio.run(main())
END

# The list of a round, all of whose addresses are others than those of the round before.
list() { python3 -c '
import sys
count, net, port = map(int, sys.argv[1:])
for number in range(count):
    print(f"127.{net}.{number // 250}.{number % 250 + 1}:{port}")' "$ENDPOINTS" "$1" "$served"; }

# Puts it in the place of the one before in one step.
put() {
    list "$1" >"$work/next"
    mv "$work/next" "$work/users.list"
}

ulimit -n "$(ulimit -Hn)"
start origin python3 "$work/origin.py" "$served"
await curl --silent --fail "http://127.0.0.1:$served/"
put 1
start_tamis <<END
workers = 2
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "users"
[listeners.edge.limits]
requests-per-connection = 0
[clusters.users]
endpoints-file = "users.list"
limits = { idle-connections = 1 }
timeouts = { idle = "1s" }
END

# CPU time of the thread of the control runtime, which is the main thread, in milliseconds.
control_ms() { awk '{ printf "%d\n", $1 / 1000000 }' "/proc/$tamis_process/task/$tamis_process/schedstat"; }
# Lines of the log that say that the list was taken; reading them costs the control runtime nothing.
taken() { grep -c "has another answer" "$work/tamis.log" || true; }
is_taken() { test "$(taken)" -ge "$1"; }

start wrk wrk -t1 -c16 -d1h "http://127.0.0.1:$port/"
wrk="$process"
sleep "$PAUSE_SECONDS"
most=0 sum=0
for swap in $(seq "$SWAPS"); do
    before="$(control_ms)"
    put "$((swap % 2 + 2))"
    await is_taken "$swap"
    # What follows the swap, such as forgetting what has gone, is over by then.
    sleep "$PAUSE_SECONDS"
    took="$(($(control_ms) - before))"
    sum="$((sum + took))"
    test "$took" -le "$most" || most="$took"
done
kill -INT "$wrk"
wait "$wrk" || true
cat "$work/wrk.log"
endpoints="$(curl --silent --fail "http://127.0.0.1:$admin/clusters" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["clusters"][0]["count"])')"
must "$endpoints endpoints" test "$endpoints" = "$ENDPOINTS"
must "no socket error" test -z "$(grep 'Socket errors' "$work/wrk.log" || true)"
must "no answer but 2xx and 3xx" test -z "$(grep 'Non-2xx' "$work/wrk.log" || true)"
must "a swap takes $most ms of CPU on the control runtime at most, $((sum / SWAPS)) on average; less than $CPU_MS_MAX" \
    test "$most" -lt "$CPU_MS_MAX"
