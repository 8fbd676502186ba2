# What the scripts of this folder share: the release binary, an origin, free ports, and ending what was started.
# To be sourced from a bash script.
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
cd "$repository"
built="${CARGO_TARGET_DIR:-target}"
tamis="$built/release/tamis"
guests="$built/guests/wasm32-unknown-unknown/release"
work="$(mktemp -d)"
started=()

finish() {
    local process
    for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT

say() { echo "$*"; }

# Says what must hold and whether it does; a figure that does not ends the script.
must() {
    local what="$1"
    shift
    if "$@"; then say "  holds: $what"; else say "  FAILS: $what" && exit 1; fi
}

build() {
    cargo build --quiet --release --package tamis
    cargo build --quiet --release --package tamis-tests --bin tamis-origin
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until a command succeeds, for ten seconds at most.
await() {
    local _
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.05
    done
    say "waited in vain for: $*"
    tail -n 5 "$work"/*.log
    exit 1
}

# Starts a program in the background; its output goes to $work/NAME.log, its process is $process.
start() {
    local name="$1"
    shift
    "$@" >"$work/$name.log" 2>&1 &
    process=$!
    started+=("$process")
}

# Starts the origin; its address is $origin.
start_origin() {
    start origin "$built/release/tamis-origin"
    await grep -q : "$work/origin.log"
    origin="$(head -n 1 "$work/origin.log")"
}

# Starts an origin of its own log, on an address; its process is $process.
start_origin_at() {
    start "$1" "$built/release/tamis-origin" "$2"
    await grep -q : "$work/$1.log"
}

# Starts `tamis run` with the configuration on standard input; needs `admin` to be its port.
start_tamis() {
    cat >"$work/tamis.toml"
    start tamis "$tamis" run -c "$work/tamis.toml"
    tamis_process="$process"
    await curl --silent --fail "http://127.0.0.1:$admin/ready"
}

# A certificate for localhost, as $work/edge.pem and $work/edge.key.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$work/edge.key" -out "$work/edge.pem" 2>/dev/null
}
