"""The app's debug APK, without Android's SDK and Gradle.

    python -m android_demo.tools.apk [APK]

aapt2 -> javac -> d8 -> zip -> apksigner, on what app/build.gradle.kts says. Needs the assets
(tools/assets.py), a JDK, Maven, and Debian's apksigner and zipalign. The same inputs give the
same bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import struct
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from android_demo.tools import BUILD, ROOT, ToolError, artifacts, delegate, jdk, run

APP = ROOT / "android_demo" / "app"
LIBRARY = ROOT / "android_demo" / "library"
ASSETS = BUILD / "assets"
APK = ROOT / "dist" / "sparsebnn-demo-debug.apk"

_PAGE = 16384
_ALIGNMENT = 64
_DATE = (1981, 1, 1, 1, 1, 2)
_ALIGNMENT_EXTRA = 0xD935


@dataclass(frozen=True)
class Facts:
    """What app/build.gradle.kts says."""

    namespace: str
    compile_sdk: int
    min_sdk: int
    target_sdk: int
    version_code: int
    version_name: str
    abis: tuple[str, ...]
    stored: tuple[str, ...]
    """Suffixes of assets that are not compressed."""


def facts(gradle: Path = APP / "build.gradle.kts") -> Facts:
    """Reads the values that both ways of building need.

    Raises:
        ToolError: if one is missing.
    """
    text = gradle.read_text("utf-8")

    def value(pattern: str) -> str:
        found = re.search(pattern, text)
        if found is None:
            raise ToolError(f"Expected {gradle} to have {pattern}, found none.")
        return found[1]

    def strings(pattern: str) -> tuple[str, ...]:
        return tuple(re.findall(r'"([^"]+)"', value(pattern)))

    return Facts(
        namespace=value(r'namespace = "([\w.]+)"'),
        compile_sdk=int(value(r"compileSdk = (\d+)")),
        min_sdk=int(value(r"minSdk = (\d+)")),
        target_sdk=int(value(r"targetSdk = (\d+)")),
        version_code=int(value(r"versionCode = (\d+)")),
        version_name=value(r'versionName = "([\w.]+)"'),
        abis=strings(r"abiFilters \+= listOf\(([^)]*)\)"),
        stored=strings(r"noCompress \+= listOf\(([^)]*)\)"),
    )


def android_jar() -> Path:
    """Android's classes and resources of the compile SDK."""
    return artifacts.fetch("android")["android-all.jar"]


def aapt2() -> Path:
    """The resource compiler, a file in another tool's package."""
    program = artifacts.unpack(artifacts.fetch("aapt2")["apktool-lib.jar"])
    program = program / "prebuilt" / "linux" / "aapt2"
    program.chmod(0o755)
    return program


def sources() -> list[Path]:
    """Java of app and library."""
    folders = (APP / "src" / "main" / "java", LIBRARY / "src" / "main" / "java")
    return [path for folder in folders for path in sorted(folder.rglob("*.java"))]


def manifest(of: Facts) -> str:
    """The manifest with what Gradle adds to it."""
    text = (APP / "src" / "main" / "AndroidManifest.xml").read_text("utf-8")
    package = f'package="{of.namespace}" android:versionCode="{of.version_code}" '
    package += f'android:versionName="{of.version_name}" '
    sdk = f'<uses-sdk android:minSdkVersion="{of.min_sdk}" '
    sdk += f'android:targetSdkVersion="{of.target_sdk}" />'
    text = text.replace("<manifest ", f"<manifest {package}", 1)
    return text.replace("<application", f"{sdk}\n  <application", 1)


def link(work: Path, assets: Path, of: Facts) -> Path:
    """Resources, assets and manifest as an APK without code; R.java in work/generated."""
    program = aapt2()
    compiled, base = work / "resources.zip", work / "resources.apk"
    (work / "AndroidManifest.xml").write_text(manifest(of), "utf-8")
    resources = APP / "src" / "main" / "res"
    run([program, "compile", "--dir", resources, "-o", compiled], "aapt2 compile")
    command: list[str | Path] = [program, "link", "-o", base, "-I", android_jar()]
    command += ["--manifest", work / "AndroidManifest.xml", "--java", work / "generated"]
    command += ["-A", assets, "--debug-mode", "--no-version-vectors"]
    command += [
        "--min-sdk-version",
        str(of.min_sdk),
        "--target-sdk-version",
        str(of.target_sdk),
    ]
    command += ["--version-code", str(of.version_code), "--version-name", of.version_name]
    for suffix in of.stored:
        command += ["-0", suffix]
    run([*command, compiled], "aapt2 link")
    return base


def tflite_classes() -> list[Path]:
    """The jars of TFLite's two packages."""
    packages = artifacts.fetch("tflite")
    return [artifacts.unpack(path) / "classes.jar" for path in packages.values()]


def compile_classes(work: Path) -> Path:
    """Class files of app and library."""
    generated = sorted((work / "generated").rglob("*.java"))
    return jdk.compile_java(
        [*sources(), *generated],
        work / "classes",
        classpath=[android_jar(), *tflite_classes()],
    )


def dex(work: Path, classes: Path, of: Facts) -> Path:
    """classes.dex of the app, the library and TFLite."""
    jar = work / "classes.jar"
    pack(
        jar, {str(path.relative_to(classes)): path for path in sorted(classes.rglob("*.class"))}
    )
    out = work / "dex"
    out.mkdir()
    java = jdk.home() / "bin" / "java"
    d8 = [java, "-cp", artifacts.fetch("r8")["r8.jar"], "com.android.tools.r8.D8"]
    d8 += ["--debug", "--min-api", str(of.min_sdk), "--lib", android_jar(), "--output", out]
    run([*d8, jar, *tflite_classes()], "d8")
    (only,) = out.iterdir()
    return only


def libraries(of: Facts) -> Iterator[tuple[str, Path]]:
    """Name in the APK and file of every native library."""
    tflite = artifacts.unpack(artifacts.fetch("tflite")["tensorflow-lite.aar"])
    for abi in of.abis:
        for path in (tflite / "jni" / abi / "libtensorflowlite_jni.so", delegate.build(abi)):
            yield f"lib/{abi}/{path.name}", path


def pack(output: Path, files: Mapping[str, Path], base: Path | None = None) -> None:
    """A zip of these files, after those of `base`; the same bytes for the same contents.

    Native libraries are stored on pages of 16 KiB, to be mapped; what else is stored, as models
    are, begins at a multiple of 64 bytes. Padding is an extra field, as zipalign writes it.
    """
    with zipfile.ZipFile(output, "w") as result:
        if base is not None:
            with zipfile.ZipFile(base) as opened:
                for member in sorted(opened.infolist(), key=lambda member: member.filename):
                    data = opened.read(member)
                    _add(result, member.filename, data, member.compress_type)
        for name, path in files.items():
            stored = name.endswith(".so")
            method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            _add(result, name, path.read_bytes(), method)


def _add(result: zipfile.ZipFile, name: str, data: bytes, method: int) -> None:
    member = zipfile.ZipInfo(name, _DATE)
    member.compress_type = method
    member.external_attr = 0o644 << 16
    member.create_system = 0
    if method == zipfile.ZIP_STORED and result.fp is not None:
        alignment = _PAGE if name.endswith(".so") else _ALIGNMENT
        begin = result.fp.tell() + 30 + len(name.encode())
        padding = -begin % alignment
        if 0 < padding < 6:  # an extra field has 6 bytes at least
            padding += alignment
        if padding:
            header = struct.pack("<HHH", _ALIGNMENT_EXTRA, padding - 4, alignment)
            member.extra = header + b"\0" * (padding - 6)
    result.writestr(member, data)


def keystore() -> Path:
    """This checkout's key for debug builds, made when it is first needed."""
    path = BUILD / "debug.keystore"
    if not path.is_file():
        temporary = path.with_suffix(f".{os.getpid()}")
        keytool = jdk.home() / "bin" / "keytool"
        command: list[str | Path] = [keytool, "-genkeypair", "-keystore", temporary]
        command += ["-storepass", "android", "-keypass", "android", "-alias", "debug"]
        command += ["-keyalg", "RSA", "-keysize", "2048", "-validity", "10000"]
        run([*command, "-dname", "CN=Android Debug"], "keytool")
        with contextlib.suppress(FileExistsError):  # another process was faster
            path.hardlink_to(temporary)
        temporary.unlink()
    return path


def tool(name: str) -> str:
    """A program of Debian's.

    Raises:
        ToolError: if it is missing.
    """
    program = shutil.which(name)
    if program is None:
        raise ToolError(f"Expected {name}, found none. Run: apt-get install {name}")
    return program


def sign(apk: Path, of: Facts) -> None:
    """Signs with schemes 2 and 3, which Android reads from version 7 on, and checks."""
    apksigner = tool("apksigner")
    command: list[str | Path] = [apksigner, "sign", "--ks", keystore(), "--ks-pass"]
    command += [
        "pass:android",
        "--v1-signing-enabled",
        "false",
        "--v4-signing-enabled",
        "false",
    ]
    run([*command, "--min-sdk-version", str(of.min_sdk), apk], "apksigner")
    run([apksigner, "verify", "--min-sdk-version", str(of.min_sdk), apk], "apksigner verify")
    run([tool("zipalign"), "-c", "-p", "4", apk], "zipalign")


def compile_app(work: Path, assets: Path = ASSETS) -> tuple[Path, Path]:
    """Resources and class files, in `work`, which is made anew.

    Args:
        work: the folder.
        assets: the folder of models and samples.

    Returns:
        The APK of resources, and the folder of class files.

    Raises:
        ToolError: if a tool or the assets are missing, or a tool fails.
    """
    if not (assets / "models.json").is_file():
        raise ToolError(f"Expected models in {assets}, found none. Run: make android-assets")
    shutil.rmtree(work, ignore_errors=True)
    (work / "generated").mkdir(parents=True)
    return link(work, assets, facts()), compile_classes(work)


def build(apk: Path, *, assets: Path = ASSETS, work: Path = BUILD / "apk") -> Path:
    """Makes the APK.

    Args:
        apk: where to write it.
        assets: the folder of models and samples.
        work: a folder for what is between, made anew.

    Raises:
        ToolError: if a tool or the assets are missing, or a tool fails.
    """
    of = facts()
    base, classes = compile_app(work, assets)
    files = {"classes.dex": dex(work, classes, of), **dict(libraries(of))}
    temporary = work / "app.apk"
    pack(temporary, files, base)
    sign(temporary, of)
    apk.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(apk)
    return apk


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("apk", nargs="?", type=Path, default=APK)
    try:
        apk = build(parser.parse_args().apk)
    except ToolError as error:
        print(f"apk: {error}", file=sys.stderr)
        return 1
    print(f"{apk}: {apk.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
