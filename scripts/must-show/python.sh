#!/usr/bin/env bash
# A Python grpcio client and server, and a websockets client and server, talk through the release binary unchanged.
source "$(dirname "$0")/lib.sh"

build
python="${TAMIS_TEST_PYTHON:-.venv/bin/python}"
grpc="$(free_port)" websocket="$(free_port)" admin="$(free_port)"
for server in grpc websocket; do
    start "$server" "$python" "tests/python/${server}_server.py"
    await grep -q port "$work/$server.log"
done
port_of() { awk '{ print $2 }' "$work/$1.log"; }
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
[listeners.grpc]
listen = "127.0.0.1:$grpc"
cluster = "grpc"
[listeners.websocket]
listen = "127.0.0.1:$websocket"
cluster = "websocket"
[clusters.grpc]
endpoints = ["127.0.0.1:$(port_of grpc)"]
protocol = "h2"
[clusters.websocket]
endpoints = ["127.0.0.1:$(port_of websocket)"]
END

for client in grpc websocket; do
    say "$client"
    must "every case of $client passes" "$python" "tests/python/${client}_client.py" "127.0.0.1:${!client}"
done
