#!/usr/bin/env bash
# `tamis upgrade` three times under wrk, on connections that last and on connections that are new each time, with 200 open WebSockets: no
# failed request, no refused connection, and the WebSockets live until the drain deadline of the process that they came to.
source "$(dirname "$0")/lib.sh"
readonly WEBSOCKETS=200 DRAIN_S=12 SECONDS_OF_LOAD=20

build
port="$(free_port)"
start_origin
start echo python3 "$repository/scripts/must-show/websocket_echo.py"
await grep -q . "$work/echo.log"
cat >"$work/tamis.toml" <<END
admin = { listen = "unix:$work/admin.sock" }
access-log = { output = "off" }
drain = { pre-stop = "5s", timeout = "${DRAIN_S}s" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "origin"
filters = ["router"]
[filters.router]
module = "builtin:router"
[[filters.router.config.routes]]
match = { path = "/chat" }
to = "echo"
[clusters.origin]
endpoints = ["$origin"]
[clusters.echo]
endpoints = ["127.0.0.1:$(cat "$work/echo.log")"]
END
start tamis "$tamis" run -c "$work/tamis.toml"
first="$process"
# Those that come after it are nobody's children.
heirs() { sed -n 's/^process \([0-9]*\) serves.*/\1/p' "$work"/upgrade-*.txt 2>/dev/null; }
ended() { heirs | xargs -r kill -KILL 2>/dev/null || true; finish; }
trap ended EXIT
"$tamis" wait --admin "unix:$work/admin.sock"
start websockets python3 "$repository/scripts/must-show/websockets.py" 127.0.0.1 "$port" /chat "$WEBSOCKETS"
websockets="$process"
await grep -q open "$work/websockets.log"

wrk -t1 -c32 -d"${SECONDS_OF_LOAD}s" "http://127.0.0.1:$port/" >"$work/lasting.txt" &
lasting=$!
wrk -t1 -c16 -d"${SECONDS_OF_LOAD}s" -H 'connection: close' "http://127.0.0.1:$port/" >"$work/new.txt" &
new=$!
sleep 2
kill -USR1 "$websockets"
for number in 1 2 3; do
    "$tamis" upgrade --admin "unix:$work/admin.sock" | tee "$work/upgrade-$number.txt"
    must "upgrade $number is done" grep -q serves "$work/upgrade-$number.txt"
    if [ "$number" = 1 ]; then sleep 1 && kill -USR1 "$websockets" && sleep 1; fi
    sleep 2
done
must "the WebSockets are alive behind the upgrade" test "$(sed -n 3p "$work/websockets.log")" = "{\"alive\": $WEBSOCKETS}"
wait "$lasting" "$new"
for load in lasting new; do
    say "$load connections: $(grep -h "Requests/sec\|Socket errors\|Non-2xx" "$work/$load.txt" | tr "\n" " ")"
    must "no socket error" test -z "$(grep 'Socket errors' "$work/$load.txt" || true)"
    must "no answer but 2xx and 3xx" test -z "$(grep 'Non-2xx' "$work/$load.txt" || true)"
done
wait "$websockets"
say "$(tail -n 1 "$work/websockets.log")"
must "the WebSockets live until the drain deadline" python3 -c '
import json, sys
ended = json.loads(open(sys.argv[1]).read().splitlines()[-1])
sys.exit(0 if ended["ended"] == int(sys.argv[2]) and ended["first"] >= float(sys.argv[3]) else 1)' \
    "$work/websockets.log" "$WEBSOCKETS" "$DRAIN_S"
while kill -0 "$first" 2>/dev/null; do sleep 0.1; done
must "the first process has ended" true
