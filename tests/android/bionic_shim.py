"""Builds bionic_shim.c for libraries made for Android, so that Linux can load them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from android_demo.tools import delegate

SOURCE = Path(__file__).with_suffix(".c")

# What Android's libraries name; all is in the first, the others only have the version.
LIBC, *OTHERS = "libc.so", "libm.so", "libdl.so", "liblog.so", "libandroid.so"


def imports(library: Path) -> set[str]:
    """Names that a library takes from bionic."""
    listed = subprocess.run(
        ["readelf", "--dyn-syms", "--wide", str(library)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(re.findall(r"\bUND (\w+)@LIBC\b", listed))


def exports(source: str) -> set[str]:
    """Names of bionic's that the C source has itself."""
    return set(re.findall(r"^BIONIC\(\w+, (\w+)\)", source, re.M))


def build(folder: Path, libraries: Iterable[Path], machine: str = "x86_64") -> Path:
    """A folder for LD_LIBRARY_PATH, with all that these libraries import."""
    return compile_shim(folder, set().union(*map(imports, libraries)), machine)


def compile_shim(folder: Path, wanted: set[str], machine: str = "x86_64") -> Path:
    """The same for these names."""
    names = sorted(wanted - exports(SOURCE.read_text("utf-8")))
    jump = {"x86_64": "jmp {}@PLT", "aarch64": "b {}"}[machine]
    jumps = [
        f"jump_{name}: {jump.format(name)}\n.globl jump_{name}\n"
        f".type jump_{name}, %function\n.symver jump_{name}, {name}@LIBC\n"
        for name in names
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jumps.s").write_text(".text\n" + "".join(jumps), "utf-8")
    (folder / "versions.map").write_text("LIBC { global: none; };\n", "utf-8")
    (folder / "empty.c").write_text("int none;\n", "utf-8")
    *_, compiler = delegate.tools()
    zig = [compiler, "cc", "-target", f"{machine}-linux-gnu.2.34"]
    zig += ["-shared", "-fPIC", "-O1", "-fno-stack-protector"]
    zig += [f"-Wl,--version-script={folder / 'versions.map'}", "-Wl,--undefined-version"]
    sources = {LIBC: [SOURCE, folder / "jumps.s"]}
    for name in (LIBC, *OTHERS):
        command = [*zig, f"-Wl,-soname,{name}", "-o", folder / name]
        command += [*sources.get(name, [folder / "empty.c"]), "-lm"]
        subprocess.run([str(part) for part in command], check=True)
    return folder
