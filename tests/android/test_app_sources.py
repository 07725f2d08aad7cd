"""The app's sources: what both ways of building read, and texts where translators find them."""

from __future__ import annotations

import re
import xml.etree.ElementTree
from pathlib import Path

import pytest

from android_demo.tools import ROOT, apk
from android_demo.tools.artifacts import POM
from keras_sparsebnn.devices import android

DEMO = ROOT / "android_demo"
MAIN = apk.APP / "src" / "main"
RESOURCES = MAIN / "res"
APP_GRADLE = (apk.APP / "build.gradle.kts").read_text("utf-8")
LIBRARY_GRADLE = (apk.LIBRARY / "build.gradle.kts").read_text("utf-8")
LAYOUTS = sorted(RESOURCES.glob("layout*/*.xml"))
ANDROID = "{http://schemas.android.com/apk/res/android}"


def value(text: str, name: str) -> str:
    return re.search(rf"\b{name} = (.*)", text)[1]


@pytest.mark.parametrize("name", ["compileSdk", "minSdk"])
def test_app_and_library_agree(name: str):
    assert value(APP_GRADLE, name) == value(LIBRARY_GRADLE, name)


def test_app_and_library_are_built_alike():
    versions = re.findall(
        r'id\("com.android.\w+"\) version "([^"]+)"', APP_GRADLE + LIBRARY_GRADLE
    )
    assert len(versions) == 2
    assert len(set(versions)) == 1
    abis = r"abiFilters \+= (listOf\([^)]*\))"
    assert re.search(abis, APP_GRADLE)[1] == re.search(abis, LIBRARY_GRADLE)[1]


def test_gradle_takes_the_packages_that_maven_takes():
    pinned = {
        f"{item.findtext('groupId')}:{item.findtext('artifactId')}:{item.findtext('version')}"
        for item in xml.etree.ElementTree.parse(POM).iter("artifactItem")
    }
    named = re.findall(
        r'(?:implementation|compileOnly)\("([^"]+)"\)', APP_GRADLE + LIBRARY_GRADLE
    )
    assert len(named) == 2
    assert set(named) <= pinned


def test_the_command_line_knows_the_app():
    of = apk.facts()
    assert of.namespace == android.PACKAGE
    assert (of.min_sdk, of.abis) == (android.MIN_SDK, android.ABIS)
    manifest = xml.etree.ElementTree.parse(MAIN / "AndroidManifest.xml")
    (instrumentation,) = manifest.iter("instrumentation")
    assert instrumentation.get(f"{ANDROID}targetPackage") == android.PACKAGE
    runner = instrumentation.get(f"{ANDROID}name")
    assert f"{android.PACKAGE}/{runner.removeprefix(android.PACKAGE)}" == android.RUNNER
    (source,) = MAIN.rglob(f"{runner.rpartition('.')[2]}.java")
    assert str(source).endswith(f"{runner.replace('.', '/')}.java")


def test_gradle_finds_the_same_files():
    settings = (DEMO / "settings.gradle.kts").read_text("utf-8")
    assert re.findall(r'":(\w+)"', settings) == ["library", "app"]
    assert 'implementation(project(":library"))' in APP_GRADLE
    assets = re.search(r'assets\.srcDir\("([^"]+)"\)', APP_GRADLE)[1]
    assert (apk.APP / assets).resolve() == apk.ASSETS.resolve()
    # Gradle's own default folder of sources is the one that apk.py compiles.
    assert {path.is_relative_to(MAIN / "java") for path in apk.sources()} == {True, False}
    assert value(APP_GRADLE, "applicationId") == value(APP_GRADLE, "namespace")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_texts_are_resources(layout: Path):
    for element in xml.etree.ElementTree.parse(layout).iter():
        for name in ("text", "textOn", "textOff", "hint", "contentDescription"):
            assert element.get(f"{ANDROID}{name}", "@string/").startswith("@string/")
        if element.tag == "ImageView" and "sample" not in layout.name:
            assert element.get(f"{ANDROID}contentDescription")


def test_every_resource_is_used():
    sources = [path.read_text("utf-8") for path in apk.sources()]
    sources += [path.read_text("utf-8") for path in MAIN.rglob("*.xml")]
    everything = "\n".join(sources)
    names = {
        (path.parent.name.partition("-")[0], path.stem)
        for path in RESOURCES.glob("*/*.xml")
        if not path.parent.name.startswith("values")
    }
    kinds = {"string", "plurals", "color", "dimen", "bool", "style", "string-array"}
    for path in RESOURCES.glob("values*/*.xml"):
        for element in xml.etree.ElementTree.parse(path).iter():
            if element.tag in kinds:
                names.add((element.tag.replace("string-", ""), element.get("name")))
    assert len(names) > 100
    for kind, name in sorted(names):
        used = rf"\bR\.{kind}\.{name}\b|@{kind}/{name}\b"
        assert re.search(used, everything), f"{kind} {name}"


def test_the_night_has_every_colour():
    def colours(folder: str) -> set[str]:
        path = RESOURCES / folder / "colors.xml"
        return {element.get("name") for element in xml.etree.ElementTree.parse(path).getroot()}

    assert colours("values") - colours("values-night") == {"icon_background"}
