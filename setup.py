"""Builds the delegate into the package; everything else about the package is in pyproject.toml.

CMake, Ninja and the compiler (zig) come as wheels, so a machine needs nothing but Python.

    SPARSEBNN_TARGET   builds for another machine: x86_64-linux, aarch64-linux, armv7-linux;
                       aarch64-darwin, x86_64-darwin, x86_64-windows, which nobody has run yet;
                       none: leaves the delegate as it is
    SPARSEBNN_CXX      builds with this compiler instead of zig, e.g. g++; for this machine only
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
LIBRARY = "libsparsebnn_delegate.so"

# Target -> (zig's name of it, tag of the wheel). glibc 2.17 is what manylinux2014 stands for.
TARGETS = {
    "x86_64-linux": ("x86_64-linux-gnu.2.17", "manylinux2014_x86_64"),
    "aarch64-linux": ("aarch64-linux-gnu.2.17", "manylinux2014_aarch64"),
    "armv7-linux": ("arm-linux-gnueabihf.2.17", "manylinux2014_armv7l"),
    "aarch64-darwin": ("aarch64-macos.11.0", "macosx_11_0_arm64"),
    "x86_64-darwin": ("x86_64-macos.10.15", "macosx_10_15_x86_64"),
    "x86_64-windows": ("x86_64-windows-gnu", "win_amd64"),
}


def host() -> str:
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64", "armv7l": "armv7"}.get(machine, machine)
    musl = "-musl" if "musl" in str(sysconfig.get_config_var("SOABI")) else ""
    return f"{machine}-{platform.system().lower()}{musl}"


TARGET = os.environ.get("SPARSEBNN_TARGET") or host()
COMPILER = os.environ.get("SPARSEBNN_CXX")
if os.environ.get("SPARSEBNN_TARGET") and TARGET not in (*TARGETS, "none"):
    sys.exit(f"Expected SPARSEBNN_TARGET in {', '.join(TARGETS)}, none; got {TARGET}.")
if COMPILER and host() != TARGET:
    sys.exit(
        f"Expected SPARSEBNN_CXX to be unset when building for {TARGET} on {host()}, got "
        f"{COMPILER}. Only zig cross-compiles here."
    )
# Elsewhere (musl, ...) the package works, through LCE's interpreter. So it does on Windows; its
# wheels are built on another system.
BUILDABLE = TARGET in TARGETS and os.name != "nt"


def tool(name: str) -> str:
    """A program that comes as a wheel, else from the PATH."""
    with contextlib.suppress(ImportError):
        if name == "zig":
            import ziglang

            folder = str(Path(ziglang.__file__).parent)
        elif name == "cmake":
            import cmake

            folder = cmake.CMAKE_BIN_DIR
        else:
            import ninja

            folder = ninja.BIN_DIR
        # A wheel on a search path of Python's may have its programs elsewhere, or nowhere.
        if (bundled := Path(folder) / name).is_file():
            return str(bundled)
    found = shutil.which(name)
    if found is None:
        wheel = "ziglang" if name == "zig" else name
        sys.exit(f"Expected {name} to be installed, found none. Run: pip install {wheel}")
    return found


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time builds in a folder; test runners have several."""
    import fcntl  # not on Windows, where nothing is built

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class BuildDelegate(build_ext):
    """Runs CMake where setuptools would run a compiler."""

    def get_ext_filename(self, fullname: str) -> str:
        # No CPython in the name: any Python loads it, through a TFLite interpreter.
        return str(Path(*fullname.split(".")[:-1]) / LIBRARY)

    def build_extension(self, ext: Extension) -> None:
        compiler = f"-{Path(COMPILER).name}" if COMPILER else ""
        folder = ROOT / "build" / f"delegate-{TARGET}{compiler}"
        folder.mkdir(parents=True, exist_ok=True)
        output = Path(self.get_ext_fullpath(ext.name))
        output.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder):
            self.run_cmake(folder)
            # Never written in place: a running process may have the old one mapped.
            temporary = output.with_suffix(".tmp")
            shutil.copyfile(folder / LIBRARY, temporary)
            temporary.replace(output)

    def run_cmake(self, folder: Path) -> None:
        ninja = tool("ninja")
        options = ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        if COMPILER:
            options.append(f"-DCMAKE_CXX_COMPILER={COMPILER}")
        elif TARGET in TARGETS:
            toolchain = ROOT / "delegate" / "cmake" / "zig.cmake"
            options += [
                f"-DCMAKE_TOOLCHAIN_FILE={toolchain}",
                f"-DZIG={tool('zig')}",
                f"-DZIG_TARGET={TARGETS[TARGET][0]}",
            ]
        # What was configured with other programs (pip's build environments have a new place
        # each time) has to be configured afresh.
        stamp = folder / "options.txt"
        if not stamp.exists() or stamp.read_text() != "\n".join(options):
            options.append("--fresh")
        environment = {"ZIG_LOCAL_CACHE_DIR": str(folder / "zig-cache"), **os.environ}
        commands = (
            [tool("cmake"), f"-S{ROOT / 'delegate'}", f"-B{folder}", "-GNinja", *options],
            [ninja, "-C", str(folder), "sparsebnn_delegate"],
        )
        for command in commands:
            result = subprocess.run(command, env=environment, text=True, capture_output=True)
            if result.returncode:
                print(result.stdout, result.stderr, sep="\n", file=sys.stderr)
                sys.exit(f"Expected the delegate to build, got the above ({command[0]}).")
        stamp.write_text("\n".join(o for o in options if o != "--fresh"))


class Wheel(bdist_wheel):
    """One wheel per platform for every Python: the library knows nothing of CPython."""

    def get_tag(self) -> tuple[str, str, str]:
        platform_tag: str = super().get_tag()[2]
        if BUILDABLE and not COMPILER and TARGET in TARGETS:
            platform_tag = TARGETS[TARGET][1]
        return "py3", "none", platform_tag


setup(
    ext_modules=(
        [Extension("keras_sparsebnn.runtime.sparsebnn_delegate", sources=[])]
        if BUILDABLE
        else []
    ),
    cmdclass={"build_ext": BuildDelegate, "bdist_wheel": Wheel},
)
