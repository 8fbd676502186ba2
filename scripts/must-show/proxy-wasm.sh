#!/usr/bin/env bash
# What the same bytes of proxy-wasm cost a request here and in Envoy: one field read, one set, one set on the answer. Of each proxy
# two processes with one worker, one with the filter and one without; five rounds each, in turns, over HTTP/1; CPU time of the whole
# process a request, and the medians' difference is the filter's. Here it is at most a third of Envoy's.
# Envoy is that of PyPI (tests/python/requirements.txt), with its V8.
source "$(dirname "$0")/lib.sh"
readonly ROUNDS=5 REQUESTS=100000 CONNECTIONS=8 TICK_US=10000
envoy=.venv/bin/envoy

build
cargo build --quiet --package tamis-tests
test -x "$envoy" || { say "there is no $envoy: run scripts/test-deps" && exit 1; }
cp "$guests/pw_cost.wasm" "$work"
start_origin

ours() {
    cat <<END
workers = 1
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$1"
cluster = "origin"
$2
timeouts = { connection-age = "0s" }
limits = { requests-per-connection = 0 }
$3
[clusters.origin]
endpoints = ["$origin"]
END
}
theirs() {
    local filter=""
    if [ "$2" = with ]; then
        filter='          - name: wasm
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config: { name: cost, vm_config: { runtime: envoy.wasm.runtime.v8, code: { local: { filename: "'"$work/pw_cost.wasm"'" } } } }'
    fi
    cat <<END
static_resources:
  listeners:
  - name: edge
    address: { socket_address: { address: 127.0.0.1, port_value: $1 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config: { virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: origin } }] }] }
          http_filters:
$filter
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: origin
    type: STATIC
    load_assignment: { cluster_name: origin, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${origin##*:} } } } }] }] }
END
}

names=(ours-without ours-with theirs-without theirs-with)
declare -A ports processes
for name in "${names[@]}"; do
    ports[$name]="$(free_port)"
    case "$name" in
    ours-without) ours "${ports[$name]}" "" "" >"$work/$name.toml" ;;
    ours-with) ours "${ports[$name]}" 'filters = ["cost"]' '[filters.cost]
module = "pw_cost.wasm"' >"$work/$name.toml" ;;
    theirs-*) theirs "${ports[$name]}" "${name#theirs-}" >"$work/$name.yaml" ;;
    esac
    case "$name" in
    ours-*) start "$name" "$tamis" run -c "$work/$name.toml" ;;
    theirs-*) start "$name" "$envoy" -c "$work/$name.yaml" --concurrency 1 -l error --use-dynamic-base-id ;;
    esac
    processes[$name]="$process"
    await curl --silent --fail --output /dev/null "http://127.0.0.1:${ports[$name]}/"
done

# CPU time of a process since it began, in ticks of the kernel.
cpu() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

# One round: nanoseconds of CPU of that process for each request.
round() {
    local before after
    before="$(cpu "${processes[$1]}")"
    h2load --h1 -c "$CONNECTIONS" -n "$REQUESTS" "http://127.0.0.1:${ports[$1]}/" >"$work/h2load.txt"
    after="$(cpu "${processes[$1]}")"
    if ! grep -q "$REQUESTS succeeded, 0 failed, 0 errored, 0 timeout" "$work/h2load.txt"; then
        cat "$work/h2load.txt" >&2
        exit 1
    fi
    echo "$(((after - before) * TICK_US * 1000 / REQUESTS))"
}

for number in $(seq "$ROUNDS"); do
    for name in "${names[@]}"; do
        nanos="$(round "$name")"
        say "  round $number, $name: $nanos ns of CPU a request"
        echo "$nanos" >>"$work/$name.rounds"
    done
done
median() { sort -n "$work/$1.rounds" | sed -n "$(((ROUNDS + 1) / 2))p"; }
here="$(($(median ours-with) - $(median ours-without)))"
there="$(($(median theirs-with) - $(median theirs-without)))"
say "the filter costs $here ns a request here, $there ns in Envoy"
at_most_a_third() { [ "$((here * 3))" -le "$there" ]; }
must "the same bytes cost at most a third of what they cost in Envoy" at_most_a_third
