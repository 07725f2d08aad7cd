"""Builds the delegate for Android, without the NDK: zig, and stubs of bionic.

    python -m android_demo.tools.delegate     # into build/delegate-android-ABI

delegate/cmake/zig_android.cmake says how that can work. With the NDK, its own toolchain file
makes the same library: docs/android.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from android_demo.tools import ROOT, MissingError, ToolError, jdk, run

ABIS = ("arm64-v8a", "x86_64")
LIBRARY = "libsparsebnn_delegate.so"
HEADER = ROOT / "delegate" / "include" / "sparsebnn_delegate.h"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One process at a time builds in a folder; test runners have several."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def tools() -> tuple[str, str, str]:
    """CMake, Ninja and zig; they come as wheels.

    Raises:
        MissingError: if one is missing.
    """
    beside = Path(sys.executable).parent
    found = []
    for name in ("cmake", "ninja"):
        program = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
        if program is None:
            raise MissingError(f"Expected {name}, found none. Run: pip install {name}")
        found.append(program)
    try:
        import ziglang
    except ImportError as error:
        raise MissingError("Expected zig, found none. Run: pip install ziglang") from error
    return found[0], found[1], str(Path(ziglang.__file__).parent / "zig")


def build(abi: str) -> Path:
    """The stripped library for one of `ABIS`.

    Raises:
        ToolError: if a tool is missing or fails.
    """
    cmake, ninja, zig = tools()
    folder = ROOT / "build" / f"delegate-android-{abi}"
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": ninja,
        "CMAKE_TOOLCHAIN_FILE": ROOT / "delegate" / "cmake" / "zig_android.cmake",
        "ANDROID_ABI": abi,
        "ZIG": zig,
        "SPARSEBNN_JNI_INCLUDE": ";".join(map(str, jdk.headers())),
    }
    configure = [cmake, "-S", ROOT / "delegate", "-B", folder, "-G", "Ninja"]
    configure += [f"-D{name}={value}" for name, value in options.items()]
    environment = {"ZIG_LOCAL_CACHE_DIR": str(folder / "zig-cache"), **os.environ}
    with alone(folder):
        for command in (configure, [ninja, "-C", folder, "sparsebnn_delegate"]):
            run(command, f"{Path(command[0]).name}, for {abi},", env=environment)
    return folder / LIBRARY


def main() -> int:
    try:
        for abi in ABIS:
            print(build(abi))
    except ToolError as error:
        print(f"delegate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
