#!/usr/bin/env bash
# Telemetry all on (metrics that are scraped each second, an access log of JSON lines in a file, traces of 1 % to a collector) costs at
# most 8 % CPU a request against all off: no access log, no traces, nobody who scrapes. Counting itself cannot be switched off: both
# processes do it. Two processes of one worker each, five rounds each, in turns, over HTTP/1; the medians of CPU a request are compared.
# CPU is that of the whole process, the thread that writes the log and the one that exports included.
source "$(dirname "$0")/lib.sh"
readonly ROUNDS=5 REQUESTS=150000 CONNECTIONS=8 CPU_PERCENT_MAX=108 TICK_US=10000

build
start_origin
# Takes whatever is sent and says that it is well; a line for each batch.
cat >"$work/collector.py" <<'END'
import http.server

class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
        print("batch", flush=True)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print("127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
END
start collector python3 "$work/collector.py"
await grep -q : "$work/collector.log"
collector="$(head -n 1 "$work/collector.log")"

port_off="$(free_port)" port_on="$(free_port)" admin="$(free_port)"
# The configuration of one process: what is special about it, and its port.
configuration() {
    cat <<END
workers = 1
$1
[listeners.edge]
listen = "127.0.0.1:$2"
cluster = "origin"
timeouts = { connection-age = "0s" }
limits = { requests-per-connection = 0 }
[clusters.origin]
endpoints = ["$origin"]
END
}
configuration 'access-log = { output = "off" }' "$port_off" >"$work/off.toml"
configuration "admin = { listen = \"127.0.0.1:$admin\" }
access-log = { output = \"$work/access-lines\" }
tracing = { sample = 0.01, endpoint = \"http://$collector\" }" "$port_on" >"$work/on.toml"
start off "$tamis" run -c "$work/off.toml"
off="$process"
start on "$tamis" run -c "$work/on.toml"
on="$process"
await curl --silent --output /dev/null "http://127.0.0.1:$port_off/"
await curl --silent --output /dev/null "http://127.0.0.1:$port_on/"
scrape() { while sleep 1; do curl --silent --output "$work/metrics.txt" "http://127.0.0.1:$admin/metrics" || return 0; done; }
start scraper scrape

# CPU time of a process since it began, in ticks of the kernel.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# One round against a port: nanoseconds of CPU of that process for each request.
round() {
    local process="$1" port="$2" before after
    before="$(cpu "$process")"
    h2load --h1 -c "$CONNECTIONS" -n "$REQUESTS" "http://127.0.0.1:$port/" >"$work/h2load.txt"
    # What is queued is written, what is collected is sent.
    sleep 2
    after="$(cpu "$process")"
    if ! grep -q "$REQUESTS succeeded, 0 failed, 0 errored, 0 timeout" "$work/h2load.txt"; then
        cat "$work/h2load.txt" >&2
        exit 1
    fi
    echo "$(((after - before) * TICK_US * 1000 / REQUESTS))"
}

median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

# Code, pools and caches are warm then.
round "$off" "$port_off" >/dev/null
round "$on" "$port_on" >/dev/null
without=() with=()
for number in $(seq "$ROUNDS"); do
    without+=("$(round "$off" "$port_off")")
    with+=("$(round "$on" "$port_on")")
    say "  round $number: off ${without[-1]} ns of CPU a request, on ${with[-1]} ns"
done
off_ns="$(median "${without[@]}")" on_ns="$(median "${with[@]}")"
lines="$(wc -l <"$work/access-lines")"
asked="$(((ROUNDS + 1) * REQUESTS))"
say "  the access log has $lines lines, the collector had $(grep -c batch "$work/collector.log") batches"
must "each of $asked requests has its line" test "$lines" -ge "$asked"
must "traces were sent" grep -q batch "$work/collector.log"
must "the metrics were scraped" grep -q '^tamis_requests_total' "$work/metrics.txt"
must "the median is $on_ns ns with telemetry, $off_ns ns without, $((on_ns * 1000 / off_ns - 1000)) per mille more: at most 8 percent" \
    test "$((on_ns * 100))" -le "$((off_ns * CPU_PERCENT_MAX))"
