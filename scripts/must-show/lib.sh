# What the scripts of this folder share: the release binary, an origin, free ports, and ending what was started.
# To be sourced from a bash script.
set -euo pipefail

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
cd "$repository"
built="${CARGO_TARGET_DIR:-target}"
# Other builds can be shown as well.
tamis="${TAMIS:-$built/release/tamis}"
tamis_origin="${TAMIS_ORIGIN:-$built/release/tamis-origin}"
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
    if [ -n "${TAMIS:-}" ]; then return; fi
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
    start origin "$tamis_origin"
    await grep -q : "$work/origin.log"
    origin="$(head -n 1 "$work/origin.log")"
}

# Starts an origin of its own log, on an address; its process is $process.
start_origin_at() {
    start "$1" "$tamis_origin" "$2"
    await grep -q : "$work/$1.log"
}

# Starts `tamis run` with the configuration on standard input; needs `admin` to be its port.
start_tamis() {
    cat >"$work/tamis.toml"
    start tamis "$tamis" run -c "$work/tamis.toml"
    tamis_process="$process"
    await curl --silent --fail "http://127.0.0.1:$admin/ready"
}

# Starts an origin, and `tamis run` with TLS before it: $port shows $work/edge.pem.
start_tls_edge() {
    port="$(free_port)" admin="$(free_port)"
    start_origin
    start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
cluster = "origin"
tls = { certificates = [{ chain = "edge.pem", key = "edge.key" }] }
[clusters.origin]
endpoints = ["$origin"]
END
}

# A certificate for localhost, as $work/edge.pem and $work/edge.key.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$work/edge.key" -out "$work/edge.pem" 2>/dev/null
}

# A private authority, as $work/ca.pem and $work/ca.key.
make_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=a private CA" \
        -addext keyUsage=critical,keyCertSign,cRLSign -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
}

# A certificate of that authority for localhost, as $work/NAME.pem and $work/NAME.key.
sign_certificate() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
        -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
    printf '%s\n' subjectAltName=DNS:localhost,IP:127.0.0.1 basicConstraints=critical,CA:FALSE \
        keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth >"$work/$1.ext"
    openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 2 \
        -extfile "$work/$1.ext" -out "$work/$1.pem" 2>/dev/null
}
