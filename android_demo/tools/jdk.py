"""A Java development kit of this machine: compiler, virtual machine, headers, jar files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from android_demo.tools import MissingError, run

OLDEST = 17


def homes() -> dict[Path, int]:
    """Development kits and their versions: $JAVA_HOME, /usr/lib/jvm, the PATH."""
    candidates = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*"))
    if program := shutil.which("javac"):
        candidates.append(Path(program).resolve().parents[1])
    found: dict[Path, int] = {}
    for home in map(Path.resolve, candidates):
        release = home / "release"
        if (home / "bin" / "javac").is_file() and release.is_file():
            version = re.search(r'^JAVA_VERSION="(\d+)', release.read_text(), re.M)
            if version:
                found[home] = int(version[1])
    return found


def home(oldest: int = OLDEST, newest: int | None = None) -> Path:
    """The oldest development kit in that range of versions, the same on each call.

    Raises:
        MissingError: if there is none.
    """
    fitting = {
        path: version
        for path, version in homes().items()
        if oldest <= version and (newest is None or version <= newest)
    }
    if not fitting:
        wanted = f"{oldest}" if newest == oldest else f"{oldest} or newer"
        raise MissingError(
            f"Expected a JDK {wanted}, found none. Run: apt-get install default-jdk-headless"
        )
    return min(fitting, key=lambda path: (fitting[path], path))


def compile_java(
    sources: Iterable[Path],
    output: Path,
    *,
    classpath: Iterable[Path] = (),
    release: int = 17,
    jdk: Path | None = None,
) -> Path:
    """Class files of the sources, in the folder `output`, which is made anew.

    Warnings are errors, but for those of the options themselves: newer compilers find old
    releases worth a warning.
    """
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    command: list[str | Path] = [(jdk or home()) / "bin" / "javac", "--release", str(release)]
    command += ["-encoding", "UTF-8", "-g", "-Xlint:all,-options,-classfile", "-Werror"]
    command += ["-d", output, "-cp", os.pathsep.join(map(str, classpath)), *sorted(sources)]
    run(command, "javac")
    return output


def headers(jdk: Path | None = None) -> list[Path]:
    """Folders to include <jni.h> from."""
    include = (jdk or home()) / "include"
    return [include, include / "linux"]
