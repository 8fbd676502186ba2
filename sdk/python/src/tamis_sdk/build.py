"""`tamis-build`: makes a module of a filter, with a Python interpreter that is a component."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: The section in which the proxy looks for a schema.
SECTION = b"tamis:config-schema"

#: What componentize-py takes as the application. It cannot have the name of the world.
ENTRY = "tamis_entry"


def interfaces() -> Path:
    """The interface: in a package that was installed, beside `src` in a project, above all in the repository."""
    here = Path(__file__).resolve()
    places = [here.with_name("wit"), *(above / "wit" for above in here.parents[2:5])]
    for place in places:
        if (place / "world.wit").is_file():
            return place
    sys.exit(f"the interface is missing: expected one of {', '.join(map(str, places))}")


def tool() -> str:
    """componentize-py, beside the interpreter or on the path."""
    beside = Path(sys.executable).with_name("componentize-py")
    found = str(beside) if beside.exists() else shutil.which("componentize-py")
    if found is None:
        sys.exit("componentize-py is missing: pip install componentize-py==0.25.1")
    return found


def leb(number: int) -> bytes:
    """An unsigned number as modules have it."""
    out = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def with_section(component: bytes, content: bytes) -> bytes:
    """A custom section at the end: components take them there as core modules do."""
    payload = leb(len(SECTION)) + SECTION + content
    return component + b"\0" + leb(len(payload)) + payload


def build(file: Path, out: Path, schema: Path | None) -> int:
    """Builds; returns the length of the module."""
    with tempfile.TemporaryDirectory(prefix="tamis-build-") as folder:
        entry = f"import {file.stem}\nfrom tamis_sdk._world import *\n"
        (Path(folder) / f"{ENTRY}.py").write_text(entry)
        made = Path(folder) / "filter.wasm"
        paths = [folder, str(file.parent), str(Path(__file__).resolve().parents[1])]
        command = [tool(), "--quiet", "-d", str(interfaces()), "-w", "http-filter", "componentize", ENTRY]
        command += [part for path in paths for part in ("-p", path)] + ["-o", str(made)]
        # Packages that the filter needs are those of the environment that it is built in.
        environment = dict(os.environ) if sys.prefix == sys.base_prefix else {**os.environ, "VIRTUAL_ENV": sys.prefix}
        ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL)
        if ran.returncode != 0:
            sys.exit(ran.returncode)
        component = made.read_bytes()
    if schema is not None:
        component = with_section(component, schema.read_bytes())
    out.parent.mkdir(parents=True, exist_ok=True)
    following = out.with_name(f"{out.name}.next")
    following.write_bytes(component)
    following.replace(out)
    return len(component)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="tamis-build", description="Makes a module of a filter in Python.")
    parser.add_argument("file", type=Path, help="the filter: a module with a class that is exported")
    parser.add_argument("-o", "--out", type=Path, help="where the module goes; without it, dist/ and the name of FILE")
    parser.add_argument("--schema", type=Path, help="a JSON Schema of the configuration, which becomes part of the module")
    asked = parser.parse_args()
    file = asked.file.resolve()
    if not file.is_file():
        sys.exit(f"there is no {file}")
    if not file.stem.isidentifier():
        sys.exit(f"expected a name that Python can import, found {file.name}")
    out = asked.out or Path("dist") / f"{file.stem}.wasm"
    length = build(file, out, asked.schema)
    print(f"built {out} ({length / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
