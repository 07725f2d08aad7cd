"""The AAR: what is in it; that it is the same each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree
import zipfile
from pathlib import Path

from android_demo.tools import aar, artifacts, delegate
from keras_sparsebnn import __version__

ROOT = Path(__file__).resolve().parents[2]


def test_members(built):
    with zipfile.ZipFile(built[0]) as archive:
        names = archive.namelist()
    assert set(names) == {
        *("AndroidManifest.xml", "classes.jar", "R.txt", "proguard.txt", "LICENSE"),
        "META-INF/com/android/build/gradle/aar-metadata.properties",
        "headers/sparsebnn_delegate.h",
        *(f"jni/{abi}/libsparsebnn_delegate.so" for abi in delegate.ABIS),
    }
    assert len(names) == len(set(names))
    assert [path.name for path in built] == [
        f"sparsebnn-delegate-{__version__}{end}" for end in (".aar", "-sources.jar")
    ]


def test_manifest(unpacked):
    tree = xml.etree.ElementTree.parse(unpacked / "AndroidManifest.xml").getroot()
    assert tree.get("package") == "io.github.keras_sparsebnn"
    (uses,) = tree
    assert list(uses.attrib.values()) == ["26"]


def test_classes_are_for_java_8(unpacked):
    with zipfile.ZipFile(unpacked / "classes.jar") as jar:
        assert sorted(jar.namelist()) == [
            f"io/github/keras_sparsebnn/SparsebnnDelegate{name}.class"
            for name in ("$Options", "")
        ]
        for name in jar.namelist():
            assert jar.read(name)[6:8] == b"\0\x34"


def test_sources_are_all(built):
    with zipfile.ZipFile(built[1]) as jar:
        held = {name: jar.read(name) for name in jar.namelist()}
    here = {
        str(path.relative_to(aar.SOURCES)): path.read_bytes()
        for path in aar.SOURCES.rglob("*.java")
    }
    assert held == here


def test_is_the_same_when_made_again(built, tmp_path):
    again = aar.build(tmp_path / "dist", tmp_path / "work")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in built]


def test_both_ways_of_building_agree():
    gradle = (aar.LIBRARY / "build.gradle.kts").read_text()
    tflite = re.findall(r'"org\.tensorflow:([\w-]+):([\w.]+)"', gradle)
    (api,) = tflite
    assert f"{api[0]}-{api[1]}.aar" in artifacts.groups()["tflite"].values()
    assert re.findall(r'"([\w-]+)"', aar.from_gradle(r"abiFilters(.*)")) == [*delegate.ABIS]
    listed = (aar.LIBRARY / aar.from_gradle(r'path = file\("(.+)"\)')).resolve()
    assert listed == ROOT / "delegate" / "CMakeLists.txt"
    assert aar.from_gradle(r'consumerProguardFiles\("(.+)"\)') == "consumer-rules.pro"
    assert aar.from_gradle(r'targets \+= "(\w+)"') in listed.read_text()
