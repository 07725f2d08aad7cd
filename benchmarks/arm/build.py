"""AArch64 machine code of the delegate's kernels, by CMake and the `ziglang` wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module, util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "arm-cost"
# Static, so that an emulator needs neither a loader nor a C library.
TARGET = "aarch64-linux-musl"
COMPILE = ("-std=c++17", "-O3", "-fno-exceptions", "-fno-rtti", "-fPIC")


class BuildError(RuntimeError):
    """Something is missing, or does not compile."""


def _zig() -> str:
    if util.find_spec("ziglang") is None:
        raise BuildError("Expected the package `ziglang`. Run: pip install ziglang")
    return str(Path(import_module("ziglang").__path__[0]) / "zig")


def _program(name: str) -> str:
    """From the environment of this Python, else from the PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise BuildError(f"Expected {name}, got none. Run: pip install {name}")
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{done.stdout}\n{done.stderr}\n{Path(command[0]).name} failed.")


def compiled(source: Path, folder: Path, options: list[str]) -> Path:
    """An object file of one C++ or assembly source."""
    target = folder / (source.stem + ".o")
    language = [] if source.suffix.lower() == ".s" else COMPILE
    command = [_zig(), "c++", "-target", "aarch64-linux-gnu.2.17", *language, *options]
    _run([*command, "-c", str(source), "-o", str(target)])
    return target


def host_library(source: Path, folder: Path) -> Path:
    """A shared library of one C source for the machine that this runs on."""
    target = folder / (source.stem + ".so")
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
    _run([_zig(), "cc", *options, str(source), "-o", str(target)])
    return target


def kernel_cost_program(folder: Path = FOLDER) -> Path:
    """Builds delegate/arm/kernel_cost.cc against the kernels, compiled as in the delegate.

    Line tables are added, which name the parts of the kernel and change no instruction.

    Raises:
        BuildError: with the compiler's words.
    """
    delegate, zig = ROOT / "delegate", _zig()
    # Afresh: a cache would keep the defaults of an older CMakeLists.txt.
    configure = [_program("cmake"), "--fresh", f"-S{delegate}", f"-B{folder}", "-GNinja"]
    configure += [
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_MAKE_PROGRAM={_program('ninja')}",
        f"-DCMAKE_TOOLCHAIN_FILE={delegate / 'cmake' / 'zig.cmake'}",
        "-DCMAKE_CXX_FLAGS=-gline-tables-only",
        f"-DZIG={zig}",
        f"-DZIG_TARGET={TARGET}",
    ]
    _run(configure)
    _run([_program("ninja"), "-C", str(folder), "sparsebnn_kernels"])
    source, library = delegate / "arm" / "kernel_cost.cc", folder / "libsparsebnn_kernels.a"
    return static_program(source, folder, [f"-I{delegate}"], [str(library)])


def static_program(
    source: Path, folder: Path, options: Sequence[str] = (), libraries: Sequence[str] = ()
) -> Path:
    """An AArch64 program of one C++ source, with line tables, that needs no C library."""
    return program(source, folder, TARGET, [*libraries, "-static"], options)


def program(
    source: Path, folder: Path, target: str, link: Sequence[str], options: Sequence[str] = ()
) -> Path:
    """The same for a target of zig's, linked with further arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    linked = folder / source.stem
    command = [_zig(), "c++", "-target", target]
    options = ["-gline-tables-only", "-D_LIBCPP_VERBOSE_ABORT(...)=__builtin_abort()", *options]
    objects = []
    for part in (source, ROOT / "delegate" / "standalone" / "cxx_runtime.cc"):
        objects.append(str(folder / f"{part.stem}.o"))
        _run([*command, *COMPILE, *options, "-c", str(part), "-o", objects[-1]])
    # As the delegate: with its C++ library zig would first compile that, which takes a minute.
    _run([*command, "-nostdlib++", *objects, *link, "-o", str(linked)])
    return linked
