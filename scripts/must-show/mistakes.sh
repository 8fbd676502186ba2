#!/usr/bin/env bash
# `tamis check` on a file with five mistakes in five lines prints five, each with its line and column.
source "$(dirname "$0")/lib.sh"

build
cat >"$work/tamis.toml" <<'END'
workers = "two"
admin = { listen = ":9901" }
listenrs = {}
listeners.edge = { listen = "0.0.0.0:8080", cluster = "user" }
clusters.users = { endpoints = ["10.0.0.1"] }
END
if "$tamis" check -c "$work/tamis.toml" >"$work/said" 2>&1; then must "the file is refused" false; fi
cat "$work/said"
for line in 1 2 3 4 5; do
    must "line $line has a mistake at a column" grep -Eq "tamis\.toml:$line:[0-9]+" "$work/said"
done
must "there are five" test "$(grep -Ec 'tamis\.toml:[0-9]+:[0-9]+' "$work/said")" -eq 5
