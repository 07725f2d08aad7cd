"""The delegate for Android, built without the NDK, from what its files say; nothing runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from android_demo.tools import delegate, jdk
from tests.packaging.elf import LOAD, TLS, Elf

ROOT = Path(__file__).resolve().parents[2]
MACHINES = {"arm64-v8a": 183, "x86_64": 62}
PAGE = 16384

SYMBOLS = ROOT / "delegate" / "android" / "bionic_symbols.txt"
HEADER = ROOT / "delegate" / "include" / "sparsebnn_delegate.h"
ENTRY_POINTS = {"tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate"}
NATIVE_METHODS = {"create", "destroy", "profile", "version"}


def allowed() -> dict[str, str]:
    """Library by symbol."""
    lines = SYMBOLS.read_text().splitlines()
    pairs = [line.split() for line in lines if not line.startswith("#")]
    assert pairs == sorted(pairs)
    return {symbol: f"{library}.so" for library, symbol in pairs}


@pytest.fixture(scope="module")
def libraries(android_delegates) -> dict[str, Elf]:
    return {abi: Elf.read(path) for abi, path in android_delegates.items()}


@pytest.mark.parametrize("abi", delegate.ABIS)
class TestFile:
    def test_is_for_the_machine(self, libraries, abi):
        assert (libraries[abi].bits, libraries[abi].machine) == (64, MACHINES[abi])
        assert libraries[abi].soname == "libsparsebnn_delegate.so"

    def test_exports_the_entry_points_the_header_and_javas_methods(self, libraries, abi):
        declared = set(re.findall(r"\b(sparsebnn_delegate_\w+)\(", HEADER.read_text()))
        start = "Java_io_github_keras_1sparsebnn_SparsebnnDelegate_"
        methods = {start + name for name in NATIVE_METHODS}
        assert libraries[abi].exported == ENTRY_POINTS | declared | methods

    def test_needs_what_is_listed_and_nothing_else(self, libraries, abi):
        library = libraries[abi]
        assert library.imported <= set(allowed())
        assert set(library.needed) == {allowed()[name] for name in library.imported}
        assert (library.versions, library.search_paths) == (set(), [])

    def test_loads_on_pages_of_16_kib(self, libraries, abi):
        segments = [part for part in libraries[abi].segments if part.kind == LOAD]
        assert len(segments) > 1
        for segment in segments:
            assert segment.alignment >= PAGE
            assert segment.offset % PAGE == segment.address % PAGE

    def test_has_no_thread_local_variables(self, libraries, abi):
        # Android loads them from API 29 on.
        assert TLS not in {segment.kind for segment in libraries[abi].segments}

    def test_names_no_path_of_this_machine(self, android_delegates, abi):
        data = android_delegates[abi].read_bytes()
        assert str(ROOT).encode() not in data
        assert str(jdk.home()).encode() not in data


def test_nothing_superfluous_is_listed(libraries):
    assert set(allowed()) == set().union(*(library.imported for library in libraries.values()))


def test_another_import_fails_the_link(android_delegates, tmp_path):
    # musl and bionic have gethostbyname, the list has not.
    _, _, zig = delegate.tools()
    stubs = android_delegates["x86_64"].parent / "android"
    link = [zig, "cc", "-target", "x86_64-linux-musl", "-shared", "-Wl,-z,defs", "other.c"]
    link += [stubs / f"lib{name}.so" for name in ("c", "m")]
    for name, fits in (("getpid", True), ("gethostbyname", False)):
        (tmp_path / "other.c").write_text(f"void {name}(); void call(void) {{ {name}(); }}\n")
        done = subprocess.run(
            list(map(str, link)), cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) is fits, done.stderr
    assert "undefined symbol: gethostbyname" in done.stderr
