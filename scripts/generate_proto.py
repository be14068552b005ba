# SPDX-License-Identifier: Apache-2.0
"""Generate ``nas/api/v1`` from ``proto/``, or with ``--check`` prove that what is checked in is exactly that.

The comparison is with fresh output, not with git, so uncommitted work is judged like committed work. Python puts the
generated modules where their imports expect them because a file's path is its proto package.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("nas/api/v1")
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")
OUTPUTS = ("--python_out=", "--grpc_python_out=", "--mypy_out=quiet:", "--mypy_grpc_out=quiet:")


def generate(target: Path) -> None:
    """Run protoc on every schema file; modules come out under ``target/nas/api/v1``.

    Raises:
        SystemExit: there is no schema, or protoc refused it; its message stands on stderr.
    """
    schemas = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "proto" / PACKAGE).glob("*.proto"))
    if not schemas:
        raise SystemExit(f"no .proto file in {ROOT / 'proto' / PACKAGE}")
    # protoc looks for the plug-ins of mypy-protobuf on the path; they lie beside this interpreter.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-Iproto",
        *(f"{flag}{target}" for flag in OUTPUTS),
        *schemas,
    ]
    finished = subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, check=False)
    if finished.returncode:
        raise SystemExit(f"protoc exited with {finished.returncode}")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the generated files of a folder by name."""
    return {path.name: path.read_bytes() for pattern in GENERATED for path in folder.glob(pattern)}


def differences(expected: dict[str, bytes], actual: dict[str, bytes]) -> list[str]:
    """Say in one phrase a file what keeps ``actual`` from being ``expected``."""
    return sorted(
        [f"{name} is missing" for name in expected.keys() - actual.keys()]
        + [f"{name} has no schema file any more" for name in actual.keys() - expected.keys()]
        + [f"{name} is out of date" for name in expected.keys() & actual.keys() if expected[name] != actual[name]]
    )


def write(fresh: Path, checked_in: Path) -> None:
    """Put the fresh modules in place of the old ones."""
    checked_in.mkdir(parents=True, exist_ok=True)
    for name in contents(checked_in):
        (checked_in / name).unlink()
    for name in contents(fresh):
        shutil.copyfile(fresh / name, checked_in / name)


def main() -> int:
    """Generate into a scratch folder, then copy or compare."""
    parser = argparse.ArgumentParser(description="Generate nas/api/v1 from proto/.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the checked-in code differs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh, checked_in = Path(scratch) / PACKAGE, ROOT / PACKAGE
        if not arguments.check:
            write(fresh, checked_in)
            return 0
        problems = differences(contents(fresh), contents(checked_in))
    for problem in problems:
        print(f"{PACKAGE}: {problem}; run: make proto", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
