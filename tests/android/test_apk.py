"""The APK: what it asks for, how it is packed and signed, and that it can run on Android 8."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path

import pytest

from android_demo.tools import apk, artifacts, delegate, run
from tests.android.conftest import need

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "android_demo" / "app"

PROGRAM = Path(__file__).with_name("java") / "CheckApiLevel.java"

# Called behind a check of the version, in classes of their own; or replaced by d8.
NEWER = re.compile(
    r"/Api(\d\d)\.class:|Record\.<init>|ByteBuffer java\.nio\.ByteBuffer\.(?:rewind|position)"
)


@pytest.fixture(scope="module")
def built(java_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apk")
    return need(build, folder / "app.apk", folder / "work")


def build(path: Path, work: Path) -> Path:
    return apk.build(path, work=work)


def test_the_same_inputs_give_the_same_bytes(built: Path, tmp_path: Path):
    other = build(tmp_path / "app.apk", tmp_path / "elsewhere")
    assert other.read_bytes() == built.read_bytes()


def test_says_what_it_needs(built: Path):
    badging = run([apk.aapt2(), "dump", "badging", built], "aapt2")
    of = apk.facts()
    assert f"package: name='{of.namespace}' versionCode='{of.version_code}'" in badging
    assert re.search(rf"^minSdkVersion:'{of.min_sdk}'", badging, re.M)
    assert re.search(rf"^targetSdkVersion:'{of.target_sdk}'", badging, re.M)
    assert f"compileSdkVersion='{of.compile_sdk}'" in badging
    assert re.search(r"^launchable-activity: name='[\w.]+\.ui\.MainActivity'", badging, re.M)
    assert "application-debuggable" in badging
    native = re.search(r"^native-code: (.*)", badging, re.M)[1]
    assert native.replace("'", "").split() == list(of.abis)
    asked = re.findall(r"^uses-permission: name='([^']+)'", badging, re.M)
    assert asked == ["android.permission.CAMERA"]
    assert "uses-feature-not-required: name='android.hardware.camera.any'" in badging


def test_is_signed(built: Path):
    said = run([apk.tool("apksigner"), "verify", "--verbose", built], "apksigner")
    schemes = dict(re.findall(r"Verified using (v\d) scheme [^:]*: (\w+)", said))
    assert (schemes["v2"], schemes["v3"], schemes["v1"]) == ("true", "true", "false")


def test_native_libraries_lie_on_pages_and_models_can_be_mapped(built: Path):
    with zipfile.ZipFile(built) as opened, built.open("rb") as file:
        members = {member.filename: member for member in opened.infolist()}
        for name, member in members.items():
            file.seek(member.header_offset + 26)
            begin = member.header_offset + 30 + sum(struct.unpack("<2H", file.read(4)))
            if name.endswith(".so"):
                assert member.compress_type == zipfile.ZIP_STORED
                assert begin % 16384 == 0, name
            elif member.compress_type == zipfile.ZIP_STORED:
                assert begin % 64 == 0, name
        models = [name for name in members if name.endswith(".tflite")]
        assert len(models) == len(list((apk.ASSETS / "models").iterdir())) >= 8
        assert {members[name].compress_type for name in models} == {zipfile.ZIP_STORED}
    run([apk.tool("zipalign"), "-c", "-p", "4", built], "zipalign")


def test_has_tflite_the_delegate_and_no_other_native_library(built: Path):
    names = {"libtensorflowlite_jni.so", delegate.LIBRARY}
    with zipfile.ZipFile(built) as opened:
        found = {name for name in opened.namelist() if name.startswith("lib/")}
        assert found == {f"lib/{abi}/{name}" for abi in apk.facts().abis for name in names}
        for abi in apk.facts().abis:
            packed = opened.read(f"lib/{abi}/{delegate.LIBRARY}")
            assert packed == delegate.build(abi).read_bytes()


def test_the_code_is_for_the_oldest_version(built: Path):
    with zipfile.ZipFile(built) as opened:
        code = [name for name in opened.namelist() if name.endswith(".dex")]
        assert code == ["classes.dex"]
        assert opened.read("classes.dex")[:8] == b"dex\n038\0"  # Android 8's


def methods(dex: bytes) -> set[str]:
    """Every method that the code names, as "Ljava/nio/Buffer;.rewind:Ljava/nio/Buffer;".

    Reference: Android, "Dalvik executable format", the sections on *_id_item.
    """

    def items(header: int, size: int) -> list[bytes]:
        count, offset = struct.unpack_from("<2L", dex, header)
        return [dex[offset + size * i :][:size] for i in range(count)]

    strings = []
    for (at,) in (struct.unpack("<L", item) for item in items(0x38, 4)):
        begin = at + 1 + (dex[at] > 127)  # a length of one byte or two
        strings.append(dex[begin : dex.index(0, begin)].decode("utf-8", "replace"))
    types = [strings[struct.unpack("<L", item)[0]] for item in items(0x40, 4)]
    returned = [types[struct.unpack("<3L", item)[1]] for item in items(0x48, 12)]
    found = (struct.unpack("<2HL", item) for item in items(0x58, 8))
    return {f"{types[of]}.{strings[name]}:{returned[proto]}" for of, proto, name in found}


def test_d8_replaces_what_only_newer_versions_have(built: Path):
    with zipfile.ZipFile(built) as opened:
        named = methods(opened.read("classes.dex"))
    assert "Ljava/nio/ByteBuffer;.rewind:Ljava/nio/Buffer;" in named
    assert not {name for name in named if re.match(r"Ljava/nio/\w+;\.(rewind|pos).*Byte", name)}
    assert not {
        name for name in named if name.startswith(("Ljava/lang/Record;", "Ljava/lang/invoke/"))
    }


def test_calls_only_what_the_oldest_version_has(built: Path, java_home: Path):
    sniffer = need(artifacts.fetch, "animal-sniffer")
    asm = need(artifacts.fetch, "robolectric")["asm.jar"]
    java = [java_home / "bin" / "java", "-cp", f"{sniffer['animal-sniffer.jar']}:{asm}"]
    signatures = sniffer["gummy-bears-api-26.signature"]
    classes = built.parent / "work" / "classes"
    said = run([*java, PROGRAM, signatures, classes], "animal-sniffer")
    undefined = [line for line in said.splitlines() if "Undefined reference" in line]
    assert {found[1] for line in undefined if (found := NEWER.search(line))} >= {
        "29",
        "30",
        "31",
    }
    assert [line for line in undefined if not NEWER.search(line)] == []


@pytest.mark.parametrize("level", [29, 30, 31])
def test_newer_calls_are_made_behind_a_check(level: int):
    guard = re.compile(rf"SDK_INT >= {level} *[?)] *(\n *)?.*Api{level}\.")
    uses = 0
    for path in (APP / "src").rglob("*.java"):
        text = path.read_text("utf-8")
        if path.name != f"Api{level}.java":
            uses += len(re.findall(rf"\bApi{level}\.", text))
            assert len(guard.findall(text)) == len(re.findall(rf"\bApi{level}\.", text)), path
    assert uses
