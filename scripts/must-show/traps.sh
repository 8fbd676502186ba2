#!/usr/bin/env bash
# A filter traps on a tenth of 200,000 requests under load. Failing closed, exactly those are answered 500 and all others 200;
# failing open, all are answered 200. Memory after 20,000 requests and after 200,000 is the same within 5 percent.
# The filter is called however often it fails (`trip = { enabled = false }`): with the default it would be left alone from half on.
source "$(dirname "$0")/lib.sh"
readonly CONNECTIONS=16 MEMORY_PERCENT_MAX=105

build
cp "$guests/trap.wasm" "$work"
port_closed="$(free_port)" port_open="$(free_port)" admin="$(free_port)"
start_origin
start_tamis <<END
admin = { listen = "127.0.0.1:$admin" }
access-log = { output = "off" }
[listeners.closed]
listen = "127.0.0.1:$port_closed"
cluster = "origin"
filters = ["closed"]
[listeners.open]
listen = "127.0.0.1:$port_open"
cluster = "origin"
filters = ["open"]
[filters.closed]
module = "trap.wasm"
on-failure = "closed"
trip = { enabled = false }
[filters.open]
module = "trap.wasm"
on-failure = "open"
trip = { enabled = false }
[clusters.origin]
endpoints = ["$origin"]
END

# Every tenth request traps. A thread of wrk has one connection, so that answers come in the order of its requests.
cat >"$work/traps.lua" <<'END'
local threads = {}
local trap = { ["x-trap"] = "now" }

function setup(thread)
    table.insert(threads, thread)
end

function init(arguments)
    limit, when_trapped = tonumber(arguments[1]), tonumber(arguments[2])
    asked, answered, trapped, wrong = 0, 0, 0, 0
end

function request()
    asked = asked + 1
    return wrk.format("GET", "/", asked % 10 == 0 and trap or nil)
end

function response(status, headers, body)
    answered = answered + 1
    local traps = asked % 10 == 0
    if traps then trapped = trapped + 1 end
    if status ~= (traps and when_trapped or 200) then wrong = wrong + 1 end
    if answered == limit then
        wrk.thread:stop()
        local done = io.open(os.getenv("DONE"), "a")
        done:write("done\n")
        done:close()
    end
end

function done(summary, latency, requests)
    local sums = {}
    for _, name in ipairs({ "answered", "trapped", "wrong" }) do
        sums[name] = 0
        for _, thread in ipairs(threads) do sums[name] = sums[name] + thread:get(name) end
    end
    local errors = summary.errors
    local broken = errors.connect + errors.read + errors.write + errors.timeout
    print(string.format("answered %d, trapped %d, wrong %d, broken %d", sums.answered, sums.trapped, sums.wrong, broken))
end
END

# Sends requests to a port; those that trap are to be answered with this status.
load() {
    local port="$1" status="$2" requests="$3" tenth="$(($3 / 10))"
    : >"$work/done"
    DONE="$work/done" start wrk wrk "-t$CONNECTIONS" "-c$CONNECTIONS" -d1h -s "$work/traps.lua" "http://127.0.0.1:$port/" -- \
        "$((requests / CONNECTIONS))" "$status"
    # It would sleep through its hour although its threads are done.
    until test "$(wc -l <"$work/done")" -eq "$CONNECTIONS"; do sleep 0.1; done
    kill -INT "$process"
    wait "$process"
    grep -E '^(Requests/sec|answered)' "$work/wrk.log"
    must "of $requests, those $tenth are answered $status, the others 200" \
        grep -q "^answered $requests, trapped $tenth, wrong 0, broken 0" "$work/wrk.log"
}

resident() { awk '/VmRSS/ { print $2 }' "/proc/$tamis_process/status"; }

failures() {
    curl --silent --fail "http://127.0.0.1:$admin/metrics" | awk -v label="filter=\"$1\"" '
        /^tamis_filter_failures_total/ && index($0, label) && /kind="trap"/ { print $2 }'
}

for way in closed:500 open:200; do
    filter="${way%:*}" port="port_${way%:*}"
    say "on-failure = \"$filter\""
    load "${!port}" "${way#*:}" 20000
    early="$(resident)"
    load "${!port}" "${way#*:}" 180000
    late="$(resident)"
    must "the metric counts 20,000 traps: $(failures "$filter")" test "$(failures "$filter")" = 20000
    must "VmRSS is $early KiB after 20,000 and $late KiB after 200,000" test "$((late * 100))" -le "$((early * MEMORY_PERCENT_MAX))"
done
