#!/usr/bin/env python3
"""Counts the instructions of what benches/instructions.txt lists, under callgrind: they are the same however busy the machine is.

Each row there has a count, an example of this crate, and one of its cases. The example is run as `EXAMPLE CASE CALLS`; what its function
`counted` does is counted, without what the kernel does, and divided by the calls. One that has threads of its own (THREADED) is run twice
and counted whole: what more calls take, divided by how many more there were. Without arguments the counts are written anew; with
`--check` nothing is written, and one that is more than MORE_MAX above the file fails. Names of cases leave all others out.
"""

import ctypes
import pathlib
import re
import struct
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent
TABLE = FOLDER / "instructions.txt"
CALLS = 100
# How many calls few are, and how many are many.
THREADED = {"exchange_instructions": (200, 1200)}
# What another order of linking changes, and no more.
MORE_MAX = 0.03


def rows():
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            count, example, case = line.split()
            yield int(count), example, case


def without_vdso():
    """valgrind takes the vDSO from a program, but not from what prctl(PR_GET_AUXV) says. Without an answer, who asks looks where valgrind
    says the same: a filter of system calls (seccomp) lets that one call fail with EINVAL."""
    prctl, get_auxv, einval, allow = 157, 0x41555856, 0x50016, 0x7FFF0000
    load = lambda at: (0x20, 0, 0, at)
    unless = lambda value, skipped: (0x15, 0, skipped, value)
    steps = [load(0), unless(prctl, 3), load(16), unless(get_auxv, 1), (0x06, 0, 0, einval), (0x06, 0, 0, allow)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(filters)))
    libc = ctypes.CDLL(None, use_errno=True)
    # No new privileges, without which nobody but root may; then the filter.
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter of system calls")


def count(built, example, case):
    if example in THREADED:
        few, many = THREADED[example]
        return round((collected([str(built / example), case, str(many)]) - collected([str(built / example), case, str(few)])) / (many - few))
    return round(collected([str(built / example), case, str(CALLS)], f"--toggle-collect=*{example}*counted*") / CALLS)


def collected(program, *options):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *options, *program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=without_vdso)
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or not found or not int(found[1]):
        sys.exit(f"{' '.join(command)}\n{ran.stdout}{ran.stderr}")
    return int(found[1])


def main():
    check = "--check" in sys.argv
    built = pathlib.Path(sys.argv[1])
    only = [argument for argument in sys.argv[2:] if argument != "--check"]
    head = [line for line in TABLE.read_text().splitlines() if line.startswith("#")]
    known, dearer = [], []
    for before, example, case in rows():
        now = before
        if not only or case in only:
            now = count(built, example, case)
            change = f"{100 * (now / before - 1):+.1f} %" if before else "new"
            print(f"{now:9}  {example}  {case}  ({before or 'no'} in the file: {change})", flush=True)
            if before and now > before * (1 + MORE_MAX):
                dearer.append(case)
        known.append(f"{now:9}  {example}  {case}")
    if not check:
        TABLE.write_text("\n".join([*head, *known]) + "\n")
    elif dearer:
        sys.exit(f"more than {100 * MORE_MAX:.0f} % above {TABLE.name}: {', '.join(dearer)}; `make instructions` writes it anew where that is meant")


if __name__ == "__main__":
    main()
