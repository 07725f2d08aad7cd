"""The library for app developers, without Android's SDK, NDK and Gradle.

    python -m android_demo.tools.aar     # dist/sparsebnn-delegate-VERSION.aar, -sources.jar

Reads from library/build.gradle.kts what both ways of building need. Needs a JDK and Maven. The
same inputs, compilers included, give the same bytes.
"""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from android_demo.tools import BUILD, ROOT, ToolError, artifacts, delegate, jdk

LIBRARY = ROOT / "android_demo" / "library"
SOURCES = LIBRARY / "src" / "main" / "java"
NAME = "sparsebnn-delegate"

_DATE = (1981, 1, 1, 1, 1, 2)

# {0}: namespace, {1}: minimal SDK.
_MANIFEST = """\
<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android"
    package="{0}">
    <uses-sdk android:minSdkVersion="{1}" />
</manifest>
"""
_METADATA = "META-INF/com/android/build/gradle/aar-metadata.properties"


def version() -> str:
    """The project's, as the native library has it."""
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
    assert found is not None
    return found[1]


def from_gradle(pattern: str) -> str:
    """What the first group of `pattern` matches in build.gradle.kts."""
    found = re.search(pattern, (LIBRARY / "build.gradle.kts").read_text("utf-8"))
    if found is None:
        raise ToolError(f"Expected library/build.gradle.kts to have {pattern}, found none.")
    return found[1]


def write_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    """A zip that depends on the members alone, not on dates, users and the order of folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)
    return path


def files(folder: Path, pattern: str) -> dict[str, bytes]:
    """Contents by the path below `folder`."""
    found = sorted(folder.rglob(pattern))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def compile_classes(output: Path) -> Path:
    """Class files for Java 8, which every version of the Android tools takes."""
    fetched = artifacts.fetch("tflite")["tensorflow-lite-api.aar"]
    api = artifacts.unpack(fetched) / "classes.jar"
    return jdk.compile_java(SOURCES.rglob("*.java"), output, classpath=[api], release=8)


def members(work: Path) -> dict[str, bytes]:
    """What the AAR holds, by name."""
    classes = files(compile_classes(work / "classes"), "*.class")
    manifest = _MANIFEST.format(
        from_gradle(r'namespace = "([\w.]+)"'), from_gradle(r"minSdk = (\d+)")
    )
    held = {
        "AndroidManifest.xml": manifest.encode(),
        "classes.jar": write_zip(work / "classes.jar", classes).read_bytes(),
        "R.txt": b"",
        "proguard.txt": (LIBRARY / "consumer-rules.pro").read_bytes(),
        _METADATA: b"aarFormatVersion=1.0\naarMetadataVersion=1.0\nminCompileSdk=1\n",
        "headers/sparsebnn_delegate.h": delegate.HEADER.read_bytes(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
    }
    for abi in re.findall(r'"([^"]+)"', from_gradle(r"abiFilters \+= listOf\(([^)]*)\)")):
        held[f"jni/{abi}/{delegate.LIBRARY}"] = delegate.build(abi).read_bytes()
    return held


def build(folder: Path = ROOT / "dist", work: Path = BUILD / "aar") -> tuple[Path, Path]:
    """The AAR and its sources.

    Args:
        folder: where they go.
        work: made anew for what lies between.

    Raises:
        ToolError: if a tool is missing or fails.
    """
    stem = f"{NAME}-{version()}"
    aar = write_zip(folder / f"{stem}.aar", members(work))
    return aar, write_zip(folder / f"{stem}-sources.jar", files(SOURCES, "*.java"))


def main() -> int:
    try:
        for path in build():
            print(path)
    except ToolError as error:
        print(f"aar: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
