#!/usr/bin/env bash
# `tamis demo` splits /users/ 90 to 10 over two versions: of 10,000 requests between 900 and 1,100 reach v2.
source "$(dirname "$0")/lib.sh"

build
port="$(free_port)" admin="$(free_port)"
start demo "$tamis" demo --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin"
await curl --silent --fail "http://127.0.0.1:$port/users/"

say "curl -s http://127.0.0.1:$port/users/ says: $(curl -s "http://127.0.0.1:$port/users/")"
curl --silent --fail --write-out '\n' "http://127.0.0.1:$port/users/?[1-10000]" >"$work/answers"
one="$(grep -c v1 "$work/answers")" two="$(grep -c v2 "$work/answers")"
say "of 10,000 requests $one reached v1, $two reached v2"
must "between 900 and 1,100 reach v2" test "$two" -ge 900 -a "$two" -le 1100
must "every request reached one of the two" test "$((one + two))" -eq 10000
