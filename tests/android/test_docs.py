"""The code in docs/android.md compiles, and runs in TFLite for Android."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from android_demo.tools import aar, artifacts, delegate, jdk, run
from keras_sparsebnn import __version__
from tests.android.conftest import GOLDEN, need, pythons_outputs
from tests.android.jvm import PROGRAMS, Jvm, runs_here

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "android.md").read_text("utf-8")
IMPORTS = (
    "io.github.keras_sparsebnn.SparsebnnDelegate",
    "java.io.File",
    "java.nio.ByteBuffer",
    "org.tensorflow.lite.Interpreter",
)


def example(language: str) -> str:
    """The block of the page that is to be run, with imports."""
    (code,) = re.findall(rf"<!-- run -->\n```{language}\n(.*?)```", PAGE, re.S)
    end = ";" if language == "java" else ""
    return "".join(f"import {name}{end}\n" for name in IMPORTS) + code


def check(jvm: Jvm, classes: list[Path], images: Path, folder: Path) -> None:
    """That the example gives what Python does."""
    first = np.fromfile(images, np.float32)[: 4 * 4 * 32]
    first.tofile(folder / "image")
    using = jdk.compile_java(
        [PROGRAMS / "UseClassifier.java"],
        folder / "using",
        classpath=[*classes, *jvm.libraries],
    )
    arguments = (GOLDEN / "lce_selected.tflite", folder / "image", folder / "scores")
    jvm.run([using, *classes, *jvm.libraries], "UseClassifier", *arguments)
    scores = np.fromfile(folder / "scores", np.float32)
    np.testing.assert_array_equal(scores, pythons_outputs("lce_selected", images)[0].ravel())


@runs_here
def test_java(jvm, images, tmp_path):
    source = tmp_path / "Classifier.java"
    source.write_text(example("java"))
    classes = jdk.compile_java([source], tmp_path / "classes", classpath=jvm.libraries)
    check(jvm, [classes], images, tmp_path)


@runs_here
def test_kotlin(jvm, images, tmp_path):
    compiler = need(artifacts.fetch, "kotlin")
    standard = compiler["kotlin-stdlib.jar"]
    (tmp_path / "Classifier.kt").write_text(example("kotlin"))
    command = [jdk.home() / "bin" / "java", "-Xmx512m", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", ":".join(map(str, compiler.values()))]
    command += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect"]
    command += ["-Werror", "-cp", ":".join(map(str, (standard, *jvm.libraries)))]
    command += ["-d", "classes", "Classifier.kt"]
    run(command, "kotlinc", cwd=tmp_path)
    check(jvm, [tmp_path / "classes", standard], images, tmp_path)


@pytest.mark.parametrize("language", ["java", "kotlin"])
def test_is_short(language):
    lines = [line for line in example(language).splitlines() if line.strip()]
    assert len(lines) - len(IMPORTS) <= 12


def test_names_the_versions_that_are_built_and_tested():
    assert set(re.findall(r"sparsebnn-delegate-([\d.]+)\.aar", PAGE)) == {__version__}
    tested = artifacts.groups()["tflite"]["tensorflow-lite.aar"]
    assert f"`org.tensorflow:{tested.removesuffix('.aar').replace('lite-', 'lite:')}`" in PAGE
    assert f"`minSdk` {aar.from_gradle(r'minSdk = ([0-9]+)')} " in PAGE
    symbols = delegate.HEADER.parents[1] / "android" / "bionic_symbols.txt"
    listed = [line for line in symbols.read_text().splitlines() if not line.startswith("#")]
    assert f"the {len(listed)} functions" in PAGE


def test_says_how_large_the_libraries_are():
    told = re.search(r"arm64-v8a and x86_64 \((\d+) and\s(\d+) kB\)", PAGE)
    for abi, size in zip(("arm64-v8a", "x86_64"), told.groups(), strict=True):
        assert int(size) * 1000 == pytest.approx(
            need(delegate.build, abi).stat().st_size, rel=0.03
        )
