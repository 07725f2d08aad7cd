"""SparsebnnDelegate.java offers what the C header does, by methods that the library has."""

from __future__ import annotations

import re
from pathlib import Path

from android_demo.tools import jdk

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "android_demo" / "library" / "src" / "main" / "java"
JAVA = SOURCES / "io" / "github" / "keras_sparsebnn" / "SparsebnnDelegate.java"
HEADER = ROOT / "delegate" / "include" / "sparsebnn_delegate.h"
JNI = ROOT / "delegate" / "android" / "jni.cc"

# Written to stderr, which an app does not have.
NOT_IN_JAVA = {"verbose"}


def test_every_option_of_c_has_a_setter():
    header = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    struct = re.search(r"typedef struct \w+ \{(.*?)\} \w+;", header, re.S)[1]
    fields = set(re.findall(r"(\w+);", struct))
    setters = re.findall(r"public Options set(\w+)\(", JAVA.read_text())
    named = {re.sub("(?<!^)([A-Z])", r"_\1", name).lower() for name in setters}
    assert named | NOT_IN_JAVA == fields
    assert not named & NOT_IN_JAVA


def test_the_library_has_every_native_method():
    declared = re.findall(r"static native \w+ (\w+)\(", JAVA.read_text())
    defined = re.findall(r"^SPARSEBNN_METHOD\(\w+, (\w+)\)", JNI.read_text(), re.M)
    assert sorted(declared) == sorted(defined)
    package = re.search(r"^package (\S+);", JAVA.read_text(), re.M)[1]
    mangled = f"{package}.SparsebnnDelegate".replace("_", "_1").replace(".", "_")
    assert f"Java_{mangled}_##name" in JNI.read_text()


def test_compiles_against_tflites_interface_alone(tflite, java_home, tmp_path):
    api = tflite["tensorflow-lite-api"] / "classes.jar"
    jdk.compile_java(SOURCES.rglob("*.java"), tmp_path / "classes", classpath=[api], release=8)
    names = {path.stem for path in (tmp_path / "classes").rglob("*.class")}
    assert names == {"SparsebnnDelegate", "SparsebnnDelegate$Options"}
