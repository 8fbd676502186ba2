#!/usr/bin/env bash
# The set-up of examples/sidecar, in network namespaces: a plain curl from one service reaches another through two sidecars, and on the
# wire between there is nothing but TLS 1.3; a peer of another trust domain is refused with the reason; destinations that nobody knows pass
# through, over IPv4 and IPv6; what redirects badly is no circle. An idle sidecar takes less than 20 MiB. Needs root.
source "$(dirname "$0")/lib.sh"
readonly MEMORY_KIB_MAX=$((20 * 1024))

build
tamis="$(realpath "$tamis")"
cp -r examples/sidecar "$work/example"
rm -rf "$work/example/certificates"
cd "$work/example"
sed -i '/^\[sidecar\]/a opaque-ports = [2525]' tamis.toml
cat >>tamis.toml <<END
[listeners.outbound.timeouts]
protocol-detect = "60s"
[services.mail]
endpoints = ["10.77.0.3:2525"]
identities = ["spiffe://shop.example/ns/shop/sa/users"]
END
export TAMIS="$tamis" TAMIS_EXAMPLE_STATE="$work/state"
trap './namespaces.sh down; finish' EXIT
./namespaces.sh up

in_web() { ./namespaces.sh in web "$@"; }
status() { in_web curl --silent --max-time 10 --output /dev/null --write-out '%{http_code}' "$@"; }
metric() { ./namespaces.sh in "$1" curl --silent http://127.0.0.1:9901/metrics | grep -F "$2 " | awk '{ print $NF }'; }

start wire ip netns exec shop-users python3 "$repository/scripts/must-show/wire.py" eth0 "secret between us" "GET /" users
await grep -q listening "$work/wire.log"
for _ in $(seq 30); do in_web curl --silent --include http://users:8080/ >>"$work/answers.txt"; done
must "a plain curl reaches the service, which knows who calls" \
    test "$(grep -c 'a secret between us, spiffe://shop.example/ns/shop/sa/web' "$work/answers.txt")" = 30
say "$(grep here "$work/answers.txt" | sort | uniq -c)"
must "and over IPv6" test "$(status -6 http://users:8080/)" = 200
kill "$process"
wait "$process" && seen=0 || seen=$?
say "$(tail -n 1 "$work/wire.log")"
must "on the wire there is nothing but TLS 1.3" test "$seen" = 0
must "the metrics tell of mutual TLS" test "$(metric users 'tamis_connections_mode_total{listener="inbound",mode="mtls"}')" -ge 1
must "filters decide on the way: acl" test "$(status -X DELETE http://users:8080/)" = 403
for _ in $(seq 40); do status -H 'x-rehearsal: yes' http://users:8080/ && echo; done >"$work/rehearsed.txt"
must "and fault" test "$(grep -c 503 "$work/rehearsed.txt")" -ge 1

must "a destination that nobody knows passes through" test "$(status http://10.77.0.2:9090/)" = 200
must "over IPv6 as well" test "$(status -g 'http://[fd77::2]:9090/')" = 200
raw() { in_web python3 -c '
import socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
peer.sendall(b"\x00\x01 no HTTP at all\r\n\r\n")
peer.shutdown(socket.SHUT_WR)
print(b"".join(iter(lambda: peer.recv(4096), b""))[:200])' "$@"; }
# The service speaks HTTP and says so, which would tell that the bytes have come to it.
raw users 8080 >"$work/raw.txt" 2>&1 || true
must "what is no HTTP gets by no acl whose rules ask for methods" test "$(grep -c 'Error response' "$work/raw.txt")" = 0
# Lines are written some milliseconds later.
raw_and_known() { grep -q '"protocol":"tcp".*"identity":"spiffe://shop.example/ns/shop/sa/web"' "$work"/state/users*.log; }
await raw_and_known
must "which it came to as a raw connection within mutual TLS" raw_and_known
raw 10.77.0.2 9090 >"$work/raw.txt"
must "and passes through to whom nobody knows" grep -q 'Error response' "$work/raw.txt"

mail_service='
import socket
server = socket.create_server(("0.0.0.0", 2525))
print("ready", flush=True)
while True:
    server.accept()[0].sendall(b"220 ready")'
start mail ip netns exec shop-users python3 -c "$mail_service"
await grep -q ready "$work/mail.log"
first_word() { in_web python3 -c 'import socket, sys; print(socket.create_connection((sys.argv[1], 2525), 20).recv(9).decode())' "$1"; }
must "where the server speaks first, nobody waits for what the client says" test "$(first_word 10.77.0.2)" = "220 ready"
if command -v nft >/dev/null; then
    # Within mutual TLS as well: neither of the two sidecars would wait for less than a minute.
    cat >mail.toml <<END
admin = { listen = "127.0.0.1:9904" }
[sidecar]
service = "mail"
port = 2525
certificate = "certificates/users.pem"
key = "certificates/users.key"
ca = ["certificates/ca.pem"]
trust-domain = "shop.example"
inbound = "0.0.0.0:16006"
outbound = "127.0.0.1:16001"
ipv6 = false
opaque-ports = [2525]
[listeners.inbound.timeouts]
protocol-detect = "60s"
END
    in_mail() { ./namespaces.sh in users-v2 "$@"; }
    start mail-service ip netns exec shop-users-v2 python3 -c "$mail_service"
    await grep -q ready "$work/mail-service.log"
    start mail-sidecar ip netns exec shop-users-v2 "$tamis" sidecar -c mail.toml
    in_mail "$tamis" wait --admin http://127.0.0.1:9904
    in_mail nft 'table inet mail { chain in { type nat hook prerouting priority -100; tcp dport 2525 redirect to :16006; }; }'
    must "nor where two sidecars are between them" test "$(first_word 10.77.0.3)" = "220 ready"
    modes() { in_mail curl --silent http://127.0.0.1:9904/metrics | grep -F 'tamis_connections_mode_total{listener="inbound",mode="mtls"} 1'; }
    await modes
fi

must "what was going to the proxy itself is a circle" test "$(status http://127.0.0.1:15001/)" = 508

rules() { in_web "$tamis" sidecar rules -c tamis.toml "$@"; }
count() { in_web nft list ruleset | grep -c redirect; }
if command -v nft >/dev/null; then
    before="$(count)"
    rules --apply
    must "rules that are applied twice are there once" test "$(count)" = "$before"
fi
# The sidecar's own connections are not left out now.
rules --uid 4242 --apply
must "redirecting in a circle is noticed" test "$(status http://10.77.0.3:9090/)" = 508
# All connections but the first are the sidecar's, and none may have gone on to open another.
circles() { grep -c 'what redirects has to leave the proxy out' "$work/state/web.log"; }
accepted() { metric web 'tamis_connections_total{listener="outbound"}'; }
at_the_first_turn() { test "$(($(circles) - circles_before))" = "$(($(accepted) - accepted_before - 1))"; }
circles_before="$(circles || true)"
accepted_before="$(accepted)"
# Raw connections are never shared, so that this is one of the sidecar's that begins now.
raw 10.77.0.2 8080 >"$work/raw.txt" 2>&1 || true
noticed() { test "$(circles)" -gt "$circles_before"; }
await noticed
await at_the_first_turn
must "by way of a service that is known as well, at the first turn" at_the_first_turn
rules --remove
must "without rules a plain call is refused by strict" test "$(status http://10.77.0.2:8080/)" = 000
if command -v nft >/dev/null; then
    # Listeners that need not ask where a call was going, and do not wait for a word of it either.
    cat >"$work/example/fixed.toml" <<END
admin = { listen = "127.0.0.1:9903" }
[listeners.raw]
listen = "127.0.0.1:17701"
protocol = "tcp"
original-destination = true
cluster = "raw"
[listeners.http]
listen = "127.0.0.1:17702"
original-destination = true
cluster = "http"
[clusters.raw]
endpoints = ["10.77.0.2:7701"]
[clusters.http]
endpoints = ["10.77.0.2:7702"]
END
    start fixed ip netns exec shop-web "$tamis" run -c fixed.toml
    in_web "$tamis" wait --admin http://127.0.0.1:9903
    in_web nft -f - <<END
table inet circle {
    chain out {
        type nat hook output priority -100;
        ip daddr 10.77.0.2 tcp dport 7701 redirect to :17701
        ip daddr 10.77.0.2 tcp dport 7702 redirect to :17702
    }
}
END
    accepted_by() { in_web curl --silent http://127.0.0.1:9903/metrics | grep -F "tamis_connections_total{listener=\"$1\"} " | awk '{ print $NF }'; }
    noticed_at() { grep -c "what redirects has to leave the proxy out.* original=10.77.0.2:$1" "$work/fixed.log"; }
    # As many were of somebody else as there were calls.
    none_went_on() { test "$(noticed_at "$2")" = "$(($(accepted_by "$1") - $3))"; }
    ends() { in_web python3 -c '
import socket
try: print(len(socket.create_connection(("10.77.0.2", 7701), 10).recv(10)))
except ConnectionResetError: print(0)'; }
    for _ in $(seq 20); do ends; done >"$work/ends.txt"
    must "a listener with a cluster of its own closes what is the proxy's" test "$(grep -c '^0$' "$work/ends.txt")" = 20
    await none_went_on raw 7701 20
    must "each of $(noticed_at 7701) at the first turn" none_went_on raw 7701 20
    for _ in $(seq 20); do status http://10.77.0.2:7702/ && echo; done >"$work/statuses.txt"
    must "or answers that it is a circle" test "$(grep -c '^508$' "$work/statuses.txt")" = 20
    await none_went_on http 7702 20
    must "each of $(noticed_at 7702) at the first turn" none_went_on http 7702 20
    in_web nft delete table inet circle
    kill "$process"
    wait "$process" || true
fi
rules --apply

for file in pem key; do cp "certificates/stranger.$file" "certificates/users.$file"; done
./namespaces.sh restart users
./namespaces.sh restart users-v2
in_web curl --silent --include --max-time 10 http://users:8080/ >"$work/refused.txt"
must "a peer of another trust domain is refused: 502" grep -q '^HTTP/1.1 502' "$work/refused.txt"
must "with the reason" grep -q 'x-tamis-reason: upstream-tls' "$work/refused.txt"
await grep -q 'spiffe://elsewhere.example/ns/shop/sa/users' "$work/state/web.log"
say "  $(grep -o '"error":"[^"]*elsewhere[^"]*"' "$work/state/web.log" | head -n 1)"

cat >"$work/example/idle.toml" <<END
admin = { listen = "127.0.0.1:9902" }
[sidecar]
service = "idle"
port = 8081
certificate = "certificates/web.pem"
key = "certificates/web.key"
ca = ["certificates/ca.pem"]
trust-domain = "shop.example"
inbound = "127.0.0.1:25006"
outbound = "127.0.0.1:25001"
inbound-filters = ["acl"]
[services.users]
endpoints = ["10.77.0.2:8080"]
[filters.acl]
module = "builtin:acl"
[[filters.acl.config.rules]]
name = "web-reads"
action = "allow"
match = { identity = "spiffe://shop.example/ns/shop/sa/web" }
END
start idle ip netns exec shop-web "$tamis" sidecar -c idle.toml
in_web "$tamis" wait --admin http://127.0.0.1:9902
sleep 2
kib() { awk -v field="$1:" '$1 == field { print $2 }' "/proc/$process/status"; }
say "an idle sidecar with router and acl, $(nproc) workers: $(kib VmRSS) KiB resident, $(kib RssAnon) KiB of them its own"
if [ -z "${TAMIS_DEBUG:-}" ]; then
    must "under $MEMORY_KIB_MAX KiB" test "$(kib VmRSS)" -lt "$MEMORY_KIB_MAX"
fi
kill "$process"
wait "$process" || true
