"""Compiles the app's tests and runs them on the JVM.

Robolectric brings Android's own Java code; TFLite and the delegate are the APK's own native
libraries for x86-64, on top of bionic_shim.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from android_demo.tools import apk, artifacts, delegate, jdk
from tests.android import bionic_shim

SOURCES = Path(__file__).with_name("app")
ABI = "x86_64"
OPENED = ("java.io", "java.lang", "java.nio", "java.util")


@dataclass(frozen=True)
class JavaTests:
    """The app and its tests, compiled, with all that they need to run."""

    java: Path
    classpath: tuple[Path, ...]
    library_path: Path
    folder: Path

    def command(self, main: str, *arguments: str, **properties: Path | str) -> list[str]:
        """The command that runs a class."""
        dependencies = artifacts.fetch("android-test")["android-all-instrumented.jar"].parent
        settings = {
            "java.library.path": self.library_path,
            "robolectric.offline": "true",
            "robolectric.dependency.dir": dependencies,
            "robolectric.logging": "stderr",
            "screenshots": self.folder,
            **properties,
        }
        command = [
            str(self.java),
            "-Xmx2g",
            "-XX:MaxDirectMemorySize=1g",
            "-XX:TieredStopAtLevel=1",
        ]
        # Robolectric's file descriptors are the JVM's.
        command += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
        command += [f"-D{name}={value}" for name, value in settings.items()]
        classpath = os.pathsep.join(map(str, self.classpath))
        return [*command, "-cp", classpath, main, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """With the shim, for native libraries that ask for bionic's."""
        return {**os.environ, "LD_LIBRARY_PATH": str(self.library_path), "TZ": "UTC"}

    def run(self, classes: Iterable[str], **properties: Path | str) -> dict[str, str]:
        """Runs test classes: by "Class.method" the word passed, or what was printed instead."""
        command = self.command("RunTests", *classes, **properties)
        done = subprocess.run(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (self.folder / "java.log").write_text(done.stdout, "utf-8")
        results: dict[str, str] = {}
        printed: list[str] = []
        for line in done.stdout.splitlines():
            if found := re.fullmatch(r"@@ (passed|failed) (\S+)", line):
                text = "\n".join(printed[-60:])
                results[found[2]] = "passed" if found[1] == "passed" else text
                printed = []
            else:
                printed.append(line)
        results[""] = "\n".join(printed[-60:])
        return results


def classes() -> list[str]:
    """Names of the test classes."""
    paths = sorted(SOURCES.rglob("*Test.java"))
    return [".".join(path.relative_to(SOURCES).with_suffix("").parts) for path in paths]


def methods() -> list[str]:
    """Every test as "Class.method"."""
    found = []
    for path in sorted(SOURCES.rglob("*Test.java")):
        text = path.read_text("utf-8")
        names = re.findall(r"@Test\b[^{]*?\bvoid (\w+)\(", text)
        found += [f"{path.stem}.{name}" for name in names]
    return found


def prepare(folder: Path, work: Path) -> JavaTests:
    """Compiles the tests against an app that `apk.build` has built in `work`."""
    of = apk.facts()
    libraries = folder / "libraries"
    tflite = artifacts.unpack(artifacts.fetch("tflite")["tensorflow-lite.aar"])
    native = [
        tflite / "jni" / ABI / "libtensorflowlite_jni.so",
        delegate.build(ABI),
    ]
    bionic_shim.build(libraries, native)
    for path in native:
        (libraries / path.name).symlink_to(path)
    jars = []
    for group in ("junit", "robolectric"):
        for path in artifacts.fetch(group).values():
            aar = path.suffix == ".aar"
            jars.append(artifacts.unpack(path) / "classes.jar" if aar else path)
    # Last: Robolectric loads its own form of these classes, the compiler needs this one.
    classpath = [work / "classes", *apk.tflite_classes(), *jars, apk.android_jar()]
    tests = jdk.compile_java(SOURCES.rglob("*.java"), folder / "classes", classpath=classpath)
    shutil.copy(SOURCES / "robolectric.properties", tests)
    _describe(tests, work, of)
    java = jdk.home() / "bin" / "java"
    return JavaTests(java, (tests, *classpath), libraries, folder)


def _describe(tests: Path, work: Path, of: apk.Facts) -> None:
    """Tells Robolectric where manifest and resources are, as Gradle would."""
    properties: Mapping[str, Path | str] = {
        "android_custom_package": of.namespace,
        "android_merged_manifest": work / "AndroidManifest.xml",
        "android_resource_apk": work / "resources.apk",
    }
    config = tests / "com" / "android" / "tools"
    config.mkdir(parents=True)
    lines = (f"{name}={value}\n" for name, value in properties.items())
    (config / "test_config.properties").write_text("".join(lines), "utf-8")
