"""A proxy on one core, the load on the other: CPU time of it, what it did, its memory."""

import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 32


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def listening(port, log=None):
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    said = log.read_text().strip().splitlines()[-12:] if log else []
    sys.exit("\n".join([f"nobody listens on port {port}", *said]))


class Subject:
    """One proxy that runs."""

    def __init__(self, name, command, ports, log, serves):
        self.name, self.ports, self.serves = name, ports, serves
        self.process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=open(log, "w"))
        self.measured = {}
        try:
            listening(ports["port"], log)
        except SystemExit:
            self.process.terminate()
            raise

    def processes(self):
        found, wanted = [self.process.pid], [self.process.pid]
        while wanted:
            parent = wanted.pop()
            children = run(["pgrep", "-P", str(parent)]).stdout.split()
            found += map(int, children)
            wanted += map(int, children)
        return found

    def cpu(self):
        """Seconds, of all its processes."""
        ticks = 0
        for process in self.processes():
            fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICK

    def memory(self):
        """MiB, what is shared counted in parts."""
        pss = 0
        for process in self.processes():
            rollup = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
            pss += int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])
        return pss / 1024


def microseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1, "ms": 1000, "s": 1e6}[unit]


def wrk(url, seconds, *more, connections=CONNECTIONS):
    out = run(["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency", *more, url]).stdout
    count = re.search(r"(\d+) requests in", out)
    refused = re.search(r"Non-2xx or 3xx responses: \d+", out)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    # Whoever closes after each answer is met in the middle of a read now and then.
    closes = "connection: close" in more
    if not count or int(count[1]) == 0 or refused or (errors and (not closes or int(errors[1]) or int(errors[4]))):
        return None, out
    p99 = re.search(r"^\s+99%\s+(\S+)", out, re.M)
    return {"requests": int(count[1]), "p99_us": microseconds(p99[1]) if p99 else None}, out


def h2load(url, seconds, *more):
    out = run(["taskset", "-c", "1", "h2load", "-c8", "-m4", "-t1", "-D", str(seconds), *more, url]).stdout
    count = re.search(r"requests: \d+ total, \d+ started, \d+ done, (\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if not count or int(count[1]) == 0 or int(count[2]) or int(count[3]):
        return None, out
    return {"requests": int(count[1]), "p99_us": None}, out


def median(subject, scenario, what):
    values = [result[what] for result in subject.measured.get(scenario, []) if result.get(what) is not None]
    return statistics.median(values) if values else None


def shown(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


def machine():
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    versions = [run(command) for command in (["nginx", "-v"], ["haproxy", "-v"]) if shutil.which(command[0])]
    told = [(out.stdout + out.stderr).splitlines()[0] for out in versions]
    return f"{cpu[1] if cpu else 'an unknown CPU'}, {os.cpu_count()} cores, Linux {platform.release()}; {'; '.join(told)}"


def taken(subject, scenario, load, seconds):
    """One measure of a subject: what the load said, with the CPU time that it took. None if it went wrong, and then it is told."""
    before, began = subject.cpu(), time.monotonic()
    result, said = load(seconds)
    took, spent = time.monotonic() - began, subject.cpu() - before
    if result is None:
        print(f"{subject.name} fails {scenario}:\n{said}", file=sys.stderr)
        return None
    return result | {"cpu_us": spent / result["requests"] * 1e6, "rate": result["requests"] / took}
