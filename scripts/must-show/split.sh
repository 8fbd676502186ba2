#!/usr/bin/env bash
# 100,000 requests split 90 to 10: within half a point, drawn and by key alike; and the same key always goes to the same cluster.
# The two versions are listeners of the same proxy whose router answers 200 and 404, so that h2load counts them apart.
source "$(dirname "$0")/lib.sh"
readonly REQUESTS=100000 CLIENTS=10 KEYS=200

build
port="$(free_port)" one="$(free_port)" two="$(free_port)" admin="$(free_port)"
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.edge]
listen = "127.0.0.1:$port"
filters = ["router"]
[listeners.one]
listen = "127.0.0.1:$one"
filters = ["one"]
[listeners.two]
listen = "127.0.0.1:$two"
filters = ["two"]
[clusters.one]
endpoints = ["127.0.0.1:$one"]
[clusters.two]
endpoints = ["127.0.0.1:$two"]
[filters.router]
module = "builtin:router"
[[filters.router.config.routes]]
match = { path = "/drawn" }
to = [{ cluster = "one", weight = 90 }, { cluster = "two", weight = 10 }]
[[filters.router.config.routes]]
match = { path = "/sticky" }
to = [{ cluster = "one", weight = 90 }, { cluster = "two", weight = 10 }]
sticky = "query:user"
[filters.one]
module = "builtin:router"
config = { routes = [{ respond = { status = 200 } }] }
[filters.two]
module = "builtin:router"
config = { routes = [{ respond = { status = 404 } }] }
END

# Of the answers that h2load has counted, how many came from the second version.
of_two() { sed -n 's/^status codes: .* \([0-9]*\) 4xx.*/\1/p' "$work/h2load.txt"; }
of_one() { sed -n 's/^status codes: \([0-9]*\) 2xx.*/\1/p' "$work/h2load.txt"; }

measure() {
    h2load -n "$REQUESTS" -c "$CLIENTS" -m 20 "$@" >"$work/h2load.txt"
    say "  $(of_one) reached the first, $(of_two) the second"
    must "each of $REQUESTS requests reached one of the two" test "$(($(of_one) + $(of_two)))" -eq "$REQUESTS"
    must "9.5 to 10.5 % reached the second" test "$(of_two)" -ge $((REQUESTS * 95 / 1000)) -a "$(of_two)" -le $((REQUESTS * 105 / 1000))
}

say "drawn"
measure "http://127.0.0.1:$port/drawn"

say "sticky, 100,000 users"
seq -f "http://127.0.0.1:$port/sticky?user=%.0f" "$REQUESTS" >"$work/users"
measure --input-file="$work/users"

say "the same user, ten times over, beside a proxy that has been started anew"
answers() {
    local round
    for round in 1 2 3 4 5; do
        curl --silent --output /dev/null --write-out '%{http_code}\n' "http://127.0.0.1:$port/sticky?user=[1-$KEYS]" >"$work/answers.$1.$round"
    done
}
answers before
kill "$tamis_process"
wait "$tamis_process" || true
cp "$work/tamis.toml" "$work/kept.toml"
start_tamis <"$work/kept.toml"
answers after
for file in "$work"/answers.*.*; do
    must "no user of $KEYS changed its cluster" cmp -s "$work/answers.before.1" "$file"
done
