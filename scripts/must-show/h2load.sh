#!/usr/bin/env bash
# 100,000 requests over HTTP/2 and TLS, 20 connections with 50 streams each: all succeed.
source "$(dirname "$0")/lib.sh"

build
make_certificate
start_tls_edge

h2load -n 100000 -c 20 -m 50 "https://127.0.0.1:$port/" | tee "$work/h2load.txt" | grep -E '^(finished|requests|status codes|Application|TLS)'
must "all succeed" grep -q '100000 done, 100000 succeeded, 0 failed, 0 errored, 0 timeout' "$work/h2load.txt"
must "with 2xx" grep -q 'status codes: 100000 2xx' "$work/h2load.txt"
