#!/usr/bin/env bash
# What each language costs: the project that `tamis filter new` writes, built, loaded, started from the cache and called. The table
# is that of docs/languages.md.
source "$(dirname "$0")/lib.sh"
# From the cache, what a module with a runtime inside may add to a start.
readonly CACHED_MS_MAX=100 ROUNDS=5

build
export XDG_CACHE_HOME="$work/cache" PATH="$(realpath "$built")/release:$PATH:/usr/local/go/bin"
mkdir -p "$XDG_CACHE_HOME"
now_ms() { echo $(($(date +%s%N) / 1000000)); }
field() { python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."): value = (value or {}).get(key)
print("-" if value is None else value)' "$1" "$2"; }
human() { python3 -c 'import sys
n = sys.argv[1]
print("-" if n == "-" else f"{int(n)/1e6:.1f} ms" if int(n) >= 1e6 else f"{int(n)/1e3:.1f} µs")' "$1"; }

# The quickest of several checks of a configuration: what is loaded is all that differs.
checked() {
    local best=1000000 began took
    for _ in $(seq "$ROUNDS"); do
        began="$(now_ms)"
        tamis check -c "$1" >/dev/null 2>&1
        took=$(($(now_ms) - began))
        [ "$took" -ge "$best" ] || best="$took"
    done
    echo "$best"
}

printf '[listeners.edge]\nlisten = "127.0.0.1:8080"\ncluster = "origin"\n[clusters.origin]\nendpoints = ["127.0.0.1:1"]\n' >"$work/empty.toml"
empty="$(checked "$work/empty.toml")"

{
    echo '| language | module | compile | from the cache | request hook | response hook | instance | memory | each further instance |'
    echo '|---|---|---|---|---|---|---|---|---|'
} >"$work/table"
for language in rust go c js ts python; do
    if [ "$language" = go ] && ! command -v go >/dev/null; then
        say "  $language: left out, there is no Go"
        continue
    fi
    project="$work/$language"
    tamis filter new "cost-$language" --lang "$language" --dir "$project" >/dev/null
    say "building the project in $language"
    # Without the cache's help: what it compiles is measured below.
    XDG_CACHE_HOME="$work/other-cache" tamis filter build "$project" --json >"$work/built.json"
    file="$(field "$work/built.json" file)"
    [ -e "$file" ] || file="$project/$file"
    cat >"$work/$language.toml" <<END
[listeners.edge]
listen = "127.0.0.1:8080"
cluster = "origin"
filters = ["f"]
[filters.f]
module = "$file"
memory = "64MiB"
config = { closed = ["/shop"] }
[clusters.origin]
endpoints = ["127.0.0.1:1"]
END
    began="$(now_ms)"
    must "$language: the proxy takes it" tamis check -c "$work/$language.toml"
    cold=$(($(now_ms) - began - empty))
    cached=$(($(checked "$work/$language.toml") - empty))
    [ "$cached" -gt 0 ] || cached=0
    must "$language: from the cache it adds $cached ms to a start, under $CACHED_MS_MAX" test "$cached" -lt "$CACHED_MS_MAX"
    tamis filter bench "$file" --config '{"closed": ["/shop"]}' --calls 2000 --json >"$work/bench.json"
    printf '| %s | %s MB | %s s | %s ms | %s | %s | %s | %s MiB | %s KiB |\n' "$language" \
        "$(python3 -c "print(round($(stat -c %s "$file") / 1e6, 2))")" "$(python3 -c "print(round($cold / 1000, 1))")" "$cached" \
        "$(human "$(field "$work/bench.json" hooks_ns.request.median)")" "$(human "$(field "$work/bench.json" hooks_ns.response.median)")" \
        "$(human "$(field "$work/bench.json" instance_ns.median)")" \
        "$(python3 -c "print(round($(field "$work/bench.json" linear_memory_bytes) / 2**20, 1))")" \
        "$(python3 -c "print(round($(field "$work/bench.json" resident_bytes) / 1024))")" >>"$work/table"
done
say "for docs/languages.md, where TAMIS_BLESS=1 puts it:"
cat "$work/table"
[ -z "${TAMIS_BLESS:-}" ] || python3 - docs/languages.md "$work/table" <<'END'
import re, sys
page, table = (open(path).read() for path in sys.argv[1:])
page = re.sub(r"\| language \| module \|[^\n]*\n(\|[^\n]*\n)*\n", "", page)
before, found, after = page.partition("Rust and C are the ones")
assert found, "the page says where the table belongs"
open(sys.argv[1], "w").write(f"{before}{table}\n{found}{after}")
END
