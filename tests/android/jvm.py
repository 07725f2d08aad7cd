"""Runs Java programs with TFLite's own library for Android, on Linux, through bionic_shim."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from android_demo.tools import delegate, jdk
from tests.android import bionic_shim

PROGRAMS = Path(__file__).with_name("java")

runs_here = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux",
    reason="the Android libraries under test are those for x86-64",
)


class Jvm:
    """What programs are compiled against and run with: the AAR and TFLite's packages."""

    def __init__(self, folder: Path, unpacked: Path, tflite: dict[str, Path]) -> None:
        natives = folder / "natives"
        natives.mkdir()
        libraries = [
            tflite["tensorflow-lite"] / "jni" / "x86_64" / "libtensorflowlite_jni.so",
            unpacked / "jni" / "x86_64" / delegate.LIBRARY,
        ]
        for path in libraries:
            (natives / path.name).symlink_to(path)
        shim = bionic_shim.build(folder / "shim", libraries)
        self.libraries = [part / "classes.jar" for part in (unpacked, *tflite.values())]
        self.folder = folder
        self.options = [f"-Djava.library.path={natives}", "-Xmx256m", "-Xshare:auto"]
        self.environment = {**os.environ, "LD_LIBRARY_PATH": str(shim)}

    def compile(self, source: Path) -> list[Path]:
        """The class path of a program."""
        output = self.folder / "classes" / source.stem
        return [jdk.compile_java([source], output, classpath=self.libraries), *self.libraries]

    def run(self, classpath: list[Path], *arguments: object) -> str:
        command = [jdk.home() / "bin" / "java", *self.options]
        command += ["-cp", ":".join(map(str, classpath)), *arguments]
        done = subprocess.run(
            [str(part) for part in command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
