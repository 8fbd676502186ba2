#!/usr/bin/env python3
"""What a request costs here and in other proxies: CPU time of the proxy, requests a second, latencies, memory.

Each proxy has one core and one worker; the load and the origin have the other. All run at once, and are measured in turns, round by
round, so that what the machine does meanwhile meets all of them; medians are shown, and ratios of one run. Writes RESULTS.md.

peers.py --tamis PROGRAM --forward PROGRAM --pace PROGRAM [--rounds N] [--seconds S] [--only 'NAME; NAME'] [--scenarios NAMES] [--wasm MODULE] [--json]
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import chart
import subjects
from measured import CONNECTIONS, Subject, free_port, h2load, listening, machine, median, run, shown, taken, wrk

HERE = pathlib.Path(__file__).resolve().parent
# Name, what it is, and how it is loaded.
SCENARIOS = {
    "h1": "HTTP/1.1, keep-alive, 20 bytes",
    "tls": "the same over TLS, as each has it by default",
    "h2": "HTTP/2 to HTTP/1.1",
    "h2-h2": "HTTP/2 on both sides (nginx: grpc_pass)",
    "64k": "answers of 64 KiB",
    "1m": "answers of 1 MiB",
    "conn": "a connection for each request",
    "conn-tls": "a TLS handshake for each request",
}


def load(scenario, ports, seconds):
    plain, tls = f"http://127.0.0.1:{ports['port']}", f"https://127.0.0.1:{ports['tls']}"
    match scenario:
        case "h1":
            return wrk(f"{plain}/", seconds)
        case "tls":
            return wrk(f"{tls}/", seconds)
        case "64k":
            return wrk(f"{plain}/files/64k", seconds)
        case "1m":
            return wrk(f"{plain}/files/1m", seconds)
        case "conn":
            return wrk(f"{plain}/", seconds, "-H", "connection: close")
        case "conn-tls":
            return wrk(f"{tls}/", seconds, "-H", "connection: close")
        case "h2":
            return h2load(f"http://127.0.0.1:{ports['h2down']}/", seconds)
        case "h2-h2":
            return h2load(f"http://127.0.0.1:{ports['h2']}/", seconds)


def start(wanted, arguments, work, running):
    """Adds the subjects to those that run, whatever becomes of the next one."""
    shared = {"origin": free_port(), "origin_h2": free_port()}
    (work / "origin.conf").write_text(subjects.ORIGIN.format(**shared, work=work))
    origin = subprocess.Popen(["taskset", "-c", "1", "nginx", "-c", str(work / "origin.conf"), "-p", str(work)])
    listening(shared["origin"])
    listening(shared["origin_h2"])
    everything = set(SCENARIOS)
    off = 'access-log = { output = "off" }'
    five = list(subjects.FIVE)
    wasm = arguments.wasm and str(pathlib.Path(arguments.wasm).resolve())

    def ports():
        own = {name: free_port() for name in ("port", "tls", "h2", "h2down", "admin")}
        return {**own, **shared}

    def tamis(name, *of, **more):
        own = ports()
        # One port serves both.
        own["h2down"] = own["port"]
        config = work / f"{name}.toml"
        config.write_text(subjects.tamis(own, work, *of, **more))
        return [arguments.tamis, "run", "-c", str(config)], own, everything

    def envoy(name, count):
        own = ports()
        config = work / f"{name}.json"
        config.write_text(subjects.envoy(own, work, wasm, count))
        return [subjects.envoy_binary(), "-c", str(config), "--concurrency", "1", "--base-id", str(own["port"]), "-l", "off"], own, everything

    def nginx():
        own = ports()
        (work / "nginx.conf").write_text(subjects.NGINX.format(**own, work=work))
        return ["nginx", "-c", str(work / "nginx.conf"), "-p", str(work)], own, everything

    def haproxy():
        own = ports()
        (work / "haproxy.cfg").write_text(subjects.HAPROXY.format(**own, work=work))
        return ["haproxy", "-f", str(work / "haproxy.cfg")], own, everything

    def forward():
        own = ports()
        return [arguments.forward, f"127.0.0.1:{own['port']}", f"127.0.0.1:{own['origin']}"], own, {"h1", "64k", "1m", "conn"}

    ways = {
        "hyper": forward,
        "tamis": lambda: tamis("tamis", [], ""),
        "tamis, no log": lambda: tamis("tamis-no-log", [], off),
        "nginx": nginx,
        "haproxy": haproxy,
        "tamis, 1 filter": lambda: tamis("tamis-1", ["headers"], off),
        "tamis, 5 filters": lambda: tamis("tamis-5", five, off),
    }
    if subjects.envoy_binary():
        ways["envoy"] = lambda: envoy("envoy", 0)
        if wasm:
            ways["envoy, 1 proxy-wasm"] = lambda: envoy("envoy-1", 1)
            ways["envoy, 5 proxy-wasm"] = lambda: envoy("envoy-5", 5)
    if wasm:
        ways["tamis, 1 proxy-wasm"] = lambda: tamis("tamis-w1", [], off, module=wasm, count=1)
        ways["tamis, 5 proxy-wasm"] = lambda: tamis("tamis-w5", [], off, module=wasm, count=5)
    for name, way in ways.items():
        if wanted and name not in wanted:
            continue
        command, own, serves = way()
        if not command[0] or not shutil.which(command[0]):
            print(f"left out, for it is not installed: {name}", file=sys.stderr)
            continue
        running.append(Subject(name, command, own, work / f"{name.replace(' ', '-')}.log", serves))
    return origin


def measure(running, scenarios, arguments):
    for scenario in scenarios:
        for number in range(-1, arguments.rounds):
            for subject in running:
                if scenario not in subject.serves:
                    continue
                # The first round warms everything up.
                seconds = 1 if number < 0 else arguments.seconds
                result = taken(subject, SCENARIOS[scenario], lambda seconds: load(scenario, subject.ports, seconds), seconds)
                if result is None:
                    subject.serves = subject.serves - {scenario}
                elif number >= 0:
                    subject.measured.setdefault(scenario, []).append(result)
            print(f"{scenario}: round {number + 1} of {arguments.rounds}", file=sys.stderr)
        if scenario == scenarios[0]:
            # All have done the same by then.
            for subject in running:
                subject.mib = subject.memory()


def paced(running, arguments):
    """At half of what the slowest can do: latencies without coordinated omission."""
    rates = [median(subject, "h1", "rate") for subject in running if "h1" in subject.measured]
    if not rates or not arguments.pace:
        return None
    rate = int(min(rates) / 2)
    for number in range(arguments.rounds):
        for subject in running:
            url = f"http://127.0.0.1:{subject.ports['port']}/"
            out = run(["taskset", "-c", "1", arguments.pace, url, "--rate", str(rate), "--connections", str(CONNECTIONS), "--seconds", str(arguments.seconds)])
            if out.returncode == 0:
                subject.measured.setdefault("paced", []).append(json.loads(out.stdout))
        print(f"{rate} a second: round {number + 1} of {arguments.rounds}", file=sys.stderr)
    return rate


def report(running, scenarios, rate):
    """The tables, as Markdown."""
    lines = []
    base = next((subject for subject in running if subject.name == "nginx"), None)
    for scenario in scenarios:
        those = [subject for subject in running if scenario in subject.measured]
        if not those:
            continue
        lines += [f"## {SCENARIOS[scenario]}", "", "| subject | CPU µs a request | of nginx's | requests a second | p99 ms |", "|---|---|---|---|---|"]
        for subject in those:
            cpu, of = median(subject, scenario, "cpu_us"), base and median(base, scenario, "cpu_us")
            p99 = median(subject, scenario, "p99_us")
            ratio = cpu / of if of else None
            lines.append(f"| {subject.name} | {shown(cpu)} | {shown(ratio, 2)} | {shown(median(subject, scenario, 'rate'), 0)} | {shown(p99 and p99 / 1000, 2)} |")
        lines.append("")
    if rate:
        lines += [f"## {rate:,} requests a second, evenly", "", "| subject | p50 µs | p99 µs | p99.9 µs |", "|---|---|---|---|"]
        for subject in running:
            if "paced" in subject.measured:
                lines.append("| " + " | ".join([subject.name, *(shown(median(subject, "paced", what), 0) for what in ("p50_us", "p99_us", "p999_us"))]) + " |")
        lines.append("")
    lines += [f"## Memory after the first: {SCENARIOS[scenarios[0]]}", "", "| subject | MiB (Pss) |", "|---|---|"]
    lines += [f"| {subject.name} | {shown(subject.mib)} |" for subject in running]
    return "\n".join(lines) + "\n"


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--tamis", required=True)
    parse.add_argument("--forward", required=True)
    parse.add_argument("--pace")
    parse.add_argument("--wasm", help="a proxy-wasm filter, for Envoy and for Tamis")
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--seconds", type=int, default=4)
    parse.add_argument("--only", help="names of subjects, with semicolons between them")
    parse.add_argument("--scenarios", default=",".join(SCENARIOS))
    parse.add_argument("--json", action="store_true", help="print what was measured instead of writing RESULTS.md")
    arguments = parse.parse_args()
    scenarios = arguments.scenarios.split(",")
    # With the load, not with the proxies.
    os.sched_setaffinity(0, {1})
    if unknown := [name for name in scenarios if name not in SCENARIOS]:
        sys.exit(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    if os.cpu_count() < 2:
        sys.exit("expected two cores: one for the proxy, one for the load")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        work.chmod(0o755)
        (work / "files").mkdir()
        (work / "files/64k").write_bytes(b"x" * (64 << 10))
        (work / "files/1m").write_bytes(b"x" * (1 << 20))
        made = run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(work / "edge.key"), "-out", str(work / "edge.pem")])
        if made.returncode:
            sys.exit(f"openssl makes no certificate: {made.stderr}")
        (work / "edge.key").chmod(0o644)
        (work / "edge.both").write_text((work / "edge.pem").read_text() + (work / "edge.key").read_text())
        origin, running = None, []
        try:
            origin = start(arguments.only and [name.strip() for name in arguments.only.split(";")], arguments, work, running)
            measure(running, scenarios, arguments)
            rate = paced(running, arguments)
            if arguments.json:
                print(json.dumps({subject.name: subject.measured | {"mib": subject.mib} for subject in running}, indent=1))
            else:
                text = f"# What a request costs, here and elsewhere\n\nWritten by `make bench-peers`, on {machine()}.\n"
                text += f"One core and one worker for each proxy, the other core for load and origin; medians of {arguments.rounds} rounds of {arguments.seconds} s.\n\n"
                if "h1" in scenarios:
                    bars = [(subject.name, median(subject, "h1", "cpu_us")) for subject in running if "h1" in subject.measured]
                    (HERE.parent / "results.svg").write_text(chart.bars("CPU µs a request, HTTP/1.1", bars))
                    text += "![CPU time a request](results.svg)\n\n"
                text += report(running, scenarios, rate)
                (HERE.parent / "RESULTS.md").write_text(text)
                print(text)
        finally:
            for subject in running:
                subject.process.terminate()
            if origin:
                origin.terminate()
            for subject in running:
                subject.process.wait()


if __name__ == "__main__":
    main()
