#!/usr/bin/env bash
# A certificate is replaced every 2 s for two minutes while requests come over kept and over new connections: no request fails,
# and every new connection sees the newest certificate.
source "$(dirname "$0")/lib.sh"
seconds="${1:-120}"

build
make_authority
rounds="$((seconds / 2))"
for round in $(seq 0 "$rounds"); do sign_certificate "round-$round"; done
cp "$work/round-0.pem" "$work/edge.pem"
cp "$work/round-0.key" "$work/edge.key"
start_tls_edge

wrk -t1 -c16 -d"$((rounds * 2))s" "https://localhost:$port/" >"$work/wrk.txt" &
sending=$!
python3 - "$work" "$port" "$rounds" <<'END' | tee "$work/seen.txt"
import http.client, os, socket, ssl, statistics, subprocess, sys, threading, time

work, port, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context(cafile=f"{work}/ca.pem")
serials = {}
for round in range(rounds + 1):
    shown = subprocess.check_output(["openssl", "x509", "-noout", "-serial", "-in", f"{work}/round-{round}.pem"], text=True)
    serials[shown.strip().removeprefix("serial=")] = round

done, failed, asked = threading.Event(), [], [0]

def ask():
    """Each request on a connection of its own."""
    while not done.is_set():
        try:
            connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                failed.append(answer.status)
            connection.close()
            asked[0] += 1
        except OSError as error:
            failed.append(error)

def seen():
    """The certificate that a new connection is shown; a session that is taken up would show none."""
    with socket.create_connection(("localhost", port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
        return serials[tls.getpeercert()["serialNumber"]]

threads = [threading.Thread(target=ask) for _ in range(2)]
[thread.start() for thread in threads]
took, stale, looked = [], 0, 0
for round in range(1, rounds + 1):
    for kind in ["pem", "key"]:
        with open(f"{work}/round-{round}.{kind}", "rb") as source, open(f"{work}/next", "wb") as target:
            target.write(source.read())
        os.rename(f"{work}/next", f"{work}/edge.{kind}")
    began = time.monotonic()
    while seen() != round and time.monotonic() - began < 2:
        pass
    took.append(time.monotonic() - began)
    while time.monotonic() - began < 2:
        looked += 1
        stale += seen() != round
done.set()
[thread.join() for thread in threads]
print(f"{rounds} certificates; seen after {statistics.median(took) * 1000:.0f} ms (median), {max(took) * 1000:.0f} ms (longest)")
print(f"{looked} further connections looked, {asked[0]} requests came on connections of their own")
print(f"stale: {stale}")
print(f"failed: {len(failed)} {failed[:3]}")
END
wait "$sending"
cat "$work/wrk.txt"
must "no connection sees an older certificate once a newer one was seen" grep -qx 'stale: 0' "$work/seen.txt"
must "no request on a connection of its own fails" grep -qx 'failed: 0 \[\]' "$work/seen.txt"
must "no socket error on kept connections" test -z "$(grep 'Socket errors' "$work/wrk.txt" || true)"
must "no answer but 2xx and 3xx" test -z "$(grep 'Non-2xx' "$work/wrk.txt" || true)"
failures="$(curl --silent "http://127.0.0.1:$admin/metrics" | grep '^tamis_certificate_reload_failures_total' || true)"
say "reloads that found half of a pair: ${failures:-none}"
