#!/usr/bin/env bash
# Ten endpoints, one of which turns slow (2 s), and clients that wait for a second: the share of requests that are answered in
# time, for round robin, least request and peak EWMA, each better than the one before. Writes the table of docs/balancing.md and
# its plot anew.
source "$(dirname "$0")/lib.sh"

cargo build --quiet --release --package tamis-benches --bin latency
"$built/release/latency" docs/balancing.md docs/latency.svg | tee "$work/latency"

rate() { awk -v policy="$1" '$1 == policy { print $2 }' "$work/latency"; }
ahead() { awk -v one="$(rate "$1")" -v other="$(rate "$2")" 'BEGIN { exit !(one > other) }'; }
must "least request is ahead of round robin" ahead least-request round-robin
must "peak EWMA is ahead of least request" ahead peak-ewma least-request
