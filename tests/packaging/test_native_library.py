"""What the native library shows to the world and asks of it, read from its file.

`setup.py` builds it for this machine and for the boards; nothing here runs it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.elf import Elf
from tests.packaging.mach_o import MachO
from tests.packaging.pe import Pe

ROOT = Path(__file__).resolve().parents[2]

ENTRY_POINTS = {
    "tflite_plugin_create_delegate",
    "tflite_plugin_destroy_delegate",
}
# The C interface for programs that link or dlopen the library: its header's functions.
HEADER = ROOT / "delegate" / "include" / "sparsebnn_delegate.h"

LIBC = re.compile(r"(libc|libm|libpthread|libdl|librt)\.so\.\d+|ld-linux[\w-]*\.so\.\d+")
NEWEST_GLIBC = (2, 17)  # what manylinux2014 promises

# Targets of setup.py with Linux -> (ELF class, machine).
TARGETS = {"x86_64-linux": (64, 62), "aarch64-linux": (64, 183), "armv7-linux": (32, 40)}


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def library(target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return library_for(target, tmp_path_factory.mktemp(target))


def library_for(target: str, output: Path) -> Path:
    """Built in the checkout's build/, so that what is up to date is not compiled again."""
    if sys.platform != "linux":
        pytest.skip("cross-compiling is tested on Linux only")
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", str(output)],
        cwd=ROOT,
        env={**os.environ, "SPARSEBNN_TARGET": target},
        check=True,
    )
    (path,) = output.rglob("*.so")
    assert path.relative_to(output) == Path("keras_sparsebnn/runtime/libsparsebnn_delegate.so")
    return path


def test_is_for_the_machine(library, target):
    elf = Elf.read(library)
    assert (elf.bits, elf.machine) == TARGETS[target]


def test_exports_the_entry_points_and_the_header_and_nothing_else(library):
    declared = set(re.findall(r"\b(sparsebnn_delegate_\w+)\(", HEADER.read_text()))
    assert len(declared) >= 3
    assert Elf.read(library).exported == ENTRY_POINTS | declared


def test_needs_libc_and_nothing_else(library):
    needed = Elf.read(library).needed
    assert "libc.so.6" in needed
    assert [name for name in needed if not LIBC.fullmatch(name)] == []


def test_brings_no_cxx_library_along(library):
    # libc++ would be 270 kB more.
    assert library.stat().st_size < 460_000


def test_no_processor_runs_what_was_compiled_for_another(library, target):
    """Of a function that several files have, the linker keeps any copy: AVX2's, for example.

    What an instruction set's file has for others has to be its own. What only aborts may be
    shared.
    """
    folder = ROOT / "build" / f"delegate-{target}" / "CMakeFiles"
    names = re.compile(r"_(avx2|avx512|vnni|dotprod)\.cc\.o")
    objects = [path for path in folder.rglob("*.o") if names.search(path.name)]
    assert bool(objects) == (target != "armv7-linux")
    for path in objects:
        shared = {name for name in Elf.read(path).weak_functions if "__throw_" not in name}
        assert shared == set(), path.name


def test_the_reader_sees_shared_functions(library, target):
    (path,) = (ROOT / "build" / f"delegate-{target}").rglob("codebook_plan.cc.o")
    assert any("vector" in name for name in Elf.read(path).weak_functions)


def test_needs_no_newer_glibc_than_the_wheel_promises(library):
    versions = Elf.read(library).versions
    assert versions
    for version in versions:
        name, _, number = version.partition("_")
        assert name == "GLIBC"
        assert tuple(map(int, number.split("."))) <= NEWEST_GLIBC


def test_the_reader_sees_other_needs(tmp_path):
    # Python's own extension modules export PyInit_ and need no delegate.
    import _ctypes

    if not getattr(_ctypes, "__file__", "").endswith(".so"):
        pytest.skip("_ctypes is built in")
    elf = Elf.read(Path(_ctypes.__file__))
    assert elf.bits == 64
    assert "PyInit__ctypes" in elf.exported
    assert any(not LIBC.fullmatch(name) for name in elf.needed)


# ---- macOS and Windows: built on any machine, never run by us ----


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Builds for a target of `setup.py`, once."""
    built: dict[str, Path] = {}

    def build(target: str) -> Path:
        if target not in built:
            built[target] = library_for(target, tmp_path_factory.mktemp(target))
        return built[target]

    return build


def declared() -> set[str]:
    return set(re.findall(r"\b(sparsebnn_delegate_\w+)\(", HEADER.read_text())) | ENTRY_POINTS


@pytest.mark.parametrize(
    ("target", "machine", "oldest"),
    [("aarch64-darwin", 0x0100000C, (11, 0)), ("x86_64-darwin", 0x01000007, (10, 15))],
)
def test_macos(elsewhere, target, machine, oldest):
    library = MachO.read(elsewhere(target))
    assert (library.machine, library.kind) == (machine, 6)  # a dynamic library
    assert library.name == "@rpath/libsparsebnn_delegate.so"
    assert library.needed == ["/usr/lib/libSystem.B.dylib"]
    assert library.oldest_system == oldest
    exported = {name.removeprefix("_") for name in library.exported}
    # And two marks of zig's linker.
    assert exported == declared() | {"__dso_handle", "_mh_dylib_header"}
    # Processors by Apple run nothing that is not signed, if only by the linker.
    assert library.signed or target != "aarch64-darwin"


def test_windows(elsewhere):
    library = Pe.read(elsewhere("x86_64-windows"))
    assert (library.machine, library.is_library) == (0x8664, True)
    assert library.exported == declared()
    needed = {name.lower() for name in library.needed}
    # Parts of Windows 10 and later.
    assert [
        name
        for name in needed
        if name not in ("kernel32.dll", "ntdll.dll") and not name.startswith("api-ms-win-crt-")
    ] == []
