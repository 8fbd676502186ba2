#!/usr/bin/env bash
# 1 GiB down and up, with slow readers and slow writers: the memory of the release binary stays under 60 MiB.
source "$(dirname "$0")/lib.sh"
readonly GIB=1073741824 MEMORY_KIB_MAX=$((60 * 1024)) SLOW=100M

build
plain="$(free_port)" tls="$(free_port)" admin="$(free_port)"
start_origin
make_certificate
truncate -s "$GIB" "$work/gib"
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.plain]
listen = "127.0.0.1:$plain"
cluster = "origin"
[listeners.tls]
listen = "127.0.0.1:$tls"
cluster = "origin"
tls = { certificates = [{ chain = "edge.pem", key = "edge.key" }] }
[clusters.origin]
endpoints = ["$origin"]
timeouts = { request = "0s" }
END

peak() { awk '/VmHWM/ { print $2 }' "/proc/$tamis_process/status"; }

# Transfers a GiB as the further arguments say, and tells the peak so far.
transfer() {
    local what="$1" received
    shift
    received="$(curl --silent --show-error --fail --cacert "$work/edge.pem" --write-out '%{size_download}' --output "$work/said" "$@")"
    case "$what" in
        down*) must "$what: $received bytes came" test "$received" = "$GIB" ;;
        up*) must "$what: $(cat "$work/said") bytes came" test "$(cat "$work/said")" = "$GIB" ;;
    esac
    rm -f "$work/said"
    say "  VmHWM after it: $(peak) KiB"
}

say "VmHWM after the start: $(peak) KiB"
for edge in "http://127.0.0.1:$plain" "https://localhost:$tls"; do
    say "$edge"
    transfer "down" "$edge/bytes/$GIB"
    transfer "down, slow reader" --limit-rate "$SLOW" "$edge/bytes/$GIB"
    transfer "up" --upload-file "$work/gib" "$edge/count"
    transfer "up, slow writer" --limit-rate "$SLOW" --upload-file "$work/gib" "$edge/count"
    transfer "up, slow origin" --upload-file "$work/gib" "$edge/sip"
done
must "VmHWM is $(peak) KiB, under 60 MiB" test "$(peak)" -lt "$MEMORY_KIB_MAX"
