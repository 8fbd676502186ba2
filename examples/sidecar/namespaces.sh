#!/usr/bin/env bash
# Three hosts on one machine, as network namespaces on a bridge: `web`, and `users` in two versions. Each has a service that speaks plain
# HTTP, a sidecar, and rules that redirect the service's connections to it. Takes root, iproute2, nft or iptables, and python3.
#   namespaces.sh up              makes them; what is there already is taken away before
#   namespaces.sh in HOST COMMAND runs something there
#   namespaces.sh restart HOST    starts its sidecar anew
#   namespaces.sh down            takes them away
set -euo pipefail
cd "$(dirname "$0")"
tamis="${TAMIS:-tamis}"
state="${TAMIS_EXAMPLE_STATE:-/run/tamis-example}"
hosts=(web users users-v2)

inside() { ip netns exec "shop-$1" "${@:2}"; }

configuration() { if [ "$1" = web ]; then echo tamis.toml; else echo users.toml; fi; }

start() {
    local host="$1"
    (exec ip netns exec "shop-$host" "$tamis" sidecar -c "$(configuration "$host")" >"$state/$host.log" 2>&1) &
    echo $! >"$state/$host.pid"
    inside "$host" "$tamis" wait --timeout 30s
}

stop() {
    local process
    process="$(cat "$state/$1.pid" 2>/dev/null || true)"
    if [ -n "$process" ]; then
        # The second one ends it at once.
        kill "$process" 2>/dev/null || true
        sleep 0.1
        kill "$process" 2>/dev/null || true
        while kill -0 "$process" 2>/dev/null; do sleep 0.05; done
    fi
}

down() {
    local host
    for host in "${hosts[@]}"; do
        ip netns pids "shop-$host" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns del "shop-$host" 2>/dev/null || true
        rm -rf "/etc/netns/shop-$host"
    done
    ip netns del shop-net 2>/dev/null || true
    rm -rf "$state"
}

up() {
    down
    mkdir -p "$state"
    [ -d certificates ] || ./certificates.sh
    ip netns add shop-net
    ip -n shop-net link add bridge type bridge
    ip -n shop-net link set bridge up
    local host number=0
    for host in "${hosts[@]}"; do
        number=$((number + 1))
        ip netns add "shop-$host"
        ip -n "shop-$host" link add eth0 type veth peer name "$host" netns shop-net
        ip -n shop-net link set "$host" master bridge up
        ip -n "shop-$host" addr add "10.77.0.$number/24" dev eth0
        ip -n "shop-$host" addr add "fd77::$number/64" dev eth0 nodad
        ip -n "shop-$host" link set lo up
        ip -n "shop-$host" link set eth0 up
        mkdir -p "/etc/netns/shop-$host"
        printf '127.0.0.1 localhost\n10.77.0.2 users\nfd77::2 users\n' >"/etc/netns/shop-$host/hosts"
        inside "$host" python3 service.py "$host" >"$state/$host-service.log" 2>&1 &
        until inside "$host" bash -c ': </dev/tcp/127.0.0.1/8080' 2>/dev/null; do sleep 0.05; done
        start "$host"
        inside "$host" "$tamis" sidecar rules -c "$(configuration "$host")" --apply
    done
}

case "${1:-}" in
    up) up ;;
    in) shift && inside "$@" ;;
    restart)
        stop "$2"
        start "$2"
        ;;
    down) down ;;
    *) sed -n '2,7s/^# *//p' "$0" && exit 2 ;;
esac
