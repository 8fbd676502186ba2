#!/usr/bin/env bash
# A filter made for proxy-wasm that asks a service which never answers, with a timeout of 100 ms: 1,000 times over, no exchange goes on
# before 100 ms, and 990 of them have by 130 ms. Ten clients ask at a time. What is timed is the whole exchange at the client; the filter
# answers 504 itself when its time is over.
source "$(dirname "$0")/lib.sh"
readonly EXCHANGES=1000 CLIENTS=10

build
# The guests are built with the tests.
cargo build --quiet --package tamis-tests
cp "$guests/pw_auth.wasm" "$work"
# Takes connections and says nothing.
cat >"$work/silent.py" <<'END'
import socket

listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)
taken = []
while True:
    taken.append(listener.accept())
END
start silent python3 "$work/silent.py"
await grep -q : "$work/silent.log"
silent="$(head -n 1 "$work/silent.log")"

port="$(free_port)" admin="$(free_port)"
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "auth"
filters = ["auth"]
limits = { requests-per-connection = 0 }
[filters.auth]
module = "pw_auth.wasm"
allow = { clusters = ["auth"] }
[clusters.auth]
endpoints = ["$silent"]
outliers = { local-failures = 0, gateway-errors = 0 }
END

cat >"$work/ask.py" <<'END'
import http.client, sys, threading, time

port, exchanges, clients = map(int, sys.argv[1:])
took, wrong = [], []

def ask():
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(exchanges // clients):
        began = time.monotonic()
        connection.request("GET", "/", headers={"x-timeout": "100"})
        answer = connection.getresponse()
        answer.read()
        took.append((time.monotonic() - began) * 1000)
        if answer.status != 504 or answer.getheader("x-auth") != "timeout":
            wrong.append(answer.status)

threads = [threading.Thread(target=ask) for _ in range(clients)]
for thread in threads: thread.start()
for thread in threads: thread.join()
took.sort()
p99 = took[len(took) * 99 // 100 - 1]
print(f"{len(took)} exchanges: first {took[0]:.2f} ms, p50 {took[len(took) // 2]:.2f} ms, p99 {p99:.2f} ms, last {took[-1]:.2f} ms; {len(wrong)} were answered otherwise")
sys.exit(0 if len(took) == exchanges and not wrong and took[0] >= 100 and p99 <= 130 else 1)
END
must "none goes on before 100 ms, and 990 of 1,000 have by 130 ms" python3 "$work/ask.py" "$port" "$EXCHANGES" "$CLIENTS"
