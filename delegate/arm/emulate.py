"""Runs programs of a sysroot under qemu: AArch64's, unless another architecture is named.

    python -m delegate.arm.emulate script.py [ARGUMENT ...]     # Python in the sysroot
    python -m delegate.arm.emulate --program a.out [ARGUMENT ...]

The core is that of a Raspberry Pi (see architecture.py). Emulated time says nothing about ARM:
never time what runs here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from delegate.arm.architecture import AARCH64, Architecture
from delegate.arm.sysroot import default_folder


def missing(folder: Path, architecture: Architecture = AARCH64) -> str | None:
    """Why nothing can be emulated with the sysroot in `folder`; None if it can."""
    if not any(map(shutil.which, architecture.qemu)):
        return (
            f"expected {architecture.qemu[0]}, got none; run: apt-get install qemu-user-static"
        )
    if not (folder / "site.stamp").is_file():
        option = "" if architecture == AARCH64 else f" --architecture {architecture.name}"
        return f"expected a sysroot in {folder}; run: python -m delegate.arm.sysroot{option}"
    return None


def program_command(
    folder: Path,
    program: Path | str,
    environment: Mapping[str, str] | None = None,
    architecture: Architecture = AARCH64,
) -> list[str]:
    """The command line that runs an executable against the sysroot's libraries.

    Args:
        folder: the sysroot.
        program: an executable; statically linked ones need no sysroot.
        environment: variables of the emulated program, beside this process's own.
        architecture: of the executable and the sysroot.
    """
    names = architecture.qemu
    qemu = next(filter(None, map(shutil.which, names)), names[0])
    command = [qemu, "-cpu", architecture.core, "-L", str(folder / "root")]
    for name, value in (environment or {}).items():
        command += ["-E", f"{name}={value}"]
    return [*command, str(program)]


def python_command(
    folder: Path,
    site: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
    architecture: Architecture = AARCH64,
) -> list[str]:
    """The command line of the sysroot's Python; append a script or `-m` and a module.

    Args:
        folder: the sysroot.
        site: folders to import from; the sysroot's own packages if empty.
        environment: variables of the emulated program, beside this process's own.
        architecture: of the sysroot.
    """
    search = list(site or (folder / "site",))
    if architecture.modules:
        search.append(folder / "root" / architecture.modules)
    variables = {
        "PYTHONHOME": str(folder / "root" / "usr"),
        "PYTHONPATH": os.pathsep.join(map(str, search)),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # The host's debugging and warning switches are not meant for the guest.
        "PYTHONWARNINGS": "default",
        **(
            {
                "LD_LIBRARY_PATH": os.pathsep.join(
                    str(folder / "root" / name) for name in architecture.libraries
                )
            }
            if architecture.libraries
            else {}
        ),
        **(environment or {}),
    }
    python = folder / "root" / "usr" / "bin" / "python3.11"
    return program_command(folder, python, variables, architecture)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--program", action="store_true", help="an executable, not a script")
    parser.add_argument("--sysroot", type=Path, default=default_folder())
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    folder = options.sysroot.resolve()
    if reason := missing(folder):
        print(f"emulate: {reason}", file=sys.stderr)
        return 1
    if options.program:
        command = program_command(folder, options.arguments[0])[:-1]
    else:
        command = python_command(folder)
    return subprocess.run([*command, *options.arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
