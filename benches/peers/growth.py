#!/usr/bin/env python3
"""What a request costs as what there is grows: clusters and routes, connections, endpoints.

The proxy has one core and one worker; load and origin have the other. For each size a proxy of its own; all of a kind run at once and
are measured in turns, round by round. Writes GROWTH.md and growth.svg.

growth.py --tamis PROGRAM [--rounds N] [--seconds S] [--only KINDS] [--json]
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile

import chart
import subjects
from measured import CONNECTIONS, Subject, free_port, listening, machine, median, shown, taken, wrk

HERE = pathlib.Path(__file__).resolve().parent
# The largest may cost so many times as much as the smallest.
MOST = 1.5
# What a process has open beside connections.
OTHER_FILES = 200
# Connections towards the origin, at most.
UPSTREAM = 1024

CONFIG = """
workers = 1
access-log = {{ output = "off" }}
{filters}
[listeners.edge]
listen = "127.0.0.1:{port}"
{decides}
timeouts = {{ connection-age = "0s" }}
limits = {{ requests-per-connection = 0, connections = 50000 }}
{clusters}
"""
CLUSTER = """
[clusters.{name}]
endpoints = {endpoints}
limits = {{ connections = {connections}, idle-connections = {connections}, pending = 50000, requests = 50000 }}
timeouts = {{ idle = "1h" }}
"""
# Another path with each request.
PATHS = """
local number = 0
request = function()
  number = (number + 7) %% %d
  return wrk.format("GET", "/r" .. number .. "/")
end
"""


def cluster(name, endpoints, connections=UPSTREAM):
    return CLUSTER.format(name=name, endpoints=json.dumps(endpoints), connections=connections)


def config(kind, size, ports):
    origin = f"127.0.0.1:{ports['origin']}"
    filters, decides, clusters = "", 'cluster = "origin"', cluster("origin", [origin])
    if kind == "clusters":
        routes = ", ".join(f'{{ match = {{ path-prefix = "/r{number}/" }}, to = [{{ cluster = "c{number}" }}] }}' for number in range(size))
        filters, decides = f'[filters.router]\nmodule = "builtin:router"\nconfig = {{ routes = [{routes}] }}', 'filters = ["router"]'
        clusters = "".join(cluster(f"c{number}", [origin]) for number in range(size))
    elif kind == "endpoints":
        endpoints = [f"127.0.{1 + number // 250}.{1 + number % 250}:{ports['origin']}" for number in range(size)]
        clusters = cluster("origin", endpoints, max(UPSTREAM, 2 * size))
    return CONFIG.format(filters=filters, decides=decides, clusters=clusters, port=ports["port"])


def kinds():
    """For each kind what grows, and the sizes: as many connections as this process may have files."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    connections = min(20000, files - UPSTREAM - OTHER_FILES)
    return {
        "clusters": ("clusters, with a route each", [1, 10, 100, 1000]),
        "connections": ("connections, each with a request under way", [1, 10, 100, 1000, 10000, connections]),
        "endpoints": ("endpoints of a cluster", [1, 10, 100, 1000, 10000]),
    }


def measure(kind, sizes, arguments, work, shared):
    running = []
    script = work / "paths.lua"
    try:
        for size in sizes:
            ports = {"port": free_port(), **shared}
            name = f"{kind}-{size}"
            (work / f"{name}.toml").write_text(config(kind, size, ports))
            running.append((size, Subject(name, [arguments.tamis, "run", "-c", str(work / f"{name}.toml")], ports, work / f"{name}.log", {kind})))
        for number in range(-1, arguments.rounds):
            for size, subject in running:
                connections = size if kind == "connections" else CONNECTIONS
                more = []
                if kind == "clusters":
                    script.write_text(PATHS % size)
                    more = ["-s", str(script)]
                # The first round connects to all that there is.
                seconds = 2 + size // 1000 if number < 0 else arguments.seconds
                if kind == "connections":
                    # They are opened anew in each round.
                    seconds += size // 1000
                url = f"http://127.0.0.1:{subject.ports['port']}/"
                result = taken(subject, kind, lambda seconds: wrk(url, seconds, *more, connections=connections), seconds)
                if result is None:
                    sys.exit(1)
                if number >= 0:
                    subject.measured.setdefault(kind, []).append(result)
            print(f"{kind}: round {number + 1} of {arguments.rounds}", file=sys.stderr)
        return [(size, median(subject, kind, "cpu_us"), subject.memory()) for size, subject in running]
    finally:
        for _, subject in running:
            subject.process.terminate()
        for _, subject in running:
            subject.process.wait()


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--tamis", required=True)
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--seconds", type=int, default=4)
    parse.add_argument("--only", default="clusters,connections,endpoints")
    parse.add_argument("--json", action="store_true", help="print what was measured instead of writing GROWTH.md")
    arguments = parse.parse_args()
    known, wanted = kinds(), arguments.only.split(",")
    if unknown := [kind for kind in wanted if kind not in known]:
        sys.exit(f"nothing of that name grows: {', '.join(unknown)}; there are {', '.join(known)}")
    if os.cpu_count() < 2:
        sys.exit("expected two cores: one for the proxy, one for the load")
    # With the load, not with the proxies.
    os.sched_setaffinity(0, {1})
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)
        shared = {"origin": free_port(), "origin_h2": free_port()}
        # On every address of this machine's own.
        (work / "origin.conf").write_text(subjects.ORIGIN.format(**shared, work=work).replace("listen 127.0.0.1:", "listen "))
        origin = subprocess.Popen(["taskset", "-c", "1", "nginx", "-c", str(work / "origin.conf"), "-p", str(work)])
        try:
            listening(shared["origin"])
            found = {kind: measure(kind, known[kind][1], arguments, work, shared) for kind in wanted}
        finally:
            origin.terminate()
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    lines = ["# What a request costs as what there is grows", "", f"Written by `make growth`, on {machine()}.",
             f"One core and one worker for the proxy, the other core for load and origin, {CONNECTIONS} connections where they are not what grows; medians of {arguments.rounds} rounds of {arguments.seconds} s.", "",
             "![CPU time a request](growth.svg)", ""]
    for kind, points in found.items():
        ratio = points[-1][1] / points[0][1]
        lines += [f"## {known[kind][0].capitalize()}", "", "| there are | CPU µs a request | MiB (Pss) |", "|---|---|---|"]
        lines += [f"| {size:,} | {shown(cpu)} | {shown(mib)} |" for size, cpu, mib in points]
        lines += ["", f"The largest costs {ratio:.2f} times what the smallest does; {'within' if ratio <= MOST else 'more than'} {MOST}.", ""]
    (HERE.parent / "growth.svg").write_text(chart.lines("CPU µs a request", [(known[kind][0].split(",")[0], [point[:2] for point in points]) for kind, points in found.items()]))
    (HERE.parent / "GROWTH.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
