"""An app's Java code, with the AAR, in TFLite's own library for Android.

The machine code is that for x86-64, which runs on Linux in a Java virtual machine, through
bionic_shim. Nothing here runs on Android.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from android_demo.tools import artifacts, delegate, jdk, run
from keras_sparsebnn import __version__
from keras_sparsebnn.runtime import Interpreter
from tests.android import bionic_shim
from tests.android.conftest import need

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
JAVA = Path(__file__).with_name("java")
KERNELS = ("auto", "xnor", "codebook", "reference")
MODELS = ("lce_selected", "subbit_v1")

# Beside the program: what TFLite's own rules leave to those that every app has by default.
APP_RULES = """
-keep class RunModels { public static void main(java.lang.String[]); }
-keepclasseswithmembernames,includedescriptorclasses class org.tensorflow.lite.** {
    native <methods>;
}
-dontwarn org.tensorflow.lite.**
"""

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux",
    reason="the Android libraries under test are those for x86-64",
)


class Jvm:
    """Runs Java programs with TFLite for Android and the AAR's native library."""

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


@pytest.fixture(scope="module")
def jvm(unpacked, tflite, tmp_path_factory) -> Jvm:
    return Jvm(tmp_path_factory.mktemp("jvm"), unpacked, tflite)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "pictures.f32"
    np.random.default_rng(5).normal(size=(3, 4, 4, 32)).astype(np.float32).tofile(path)
    return path


def expected(model: str, pictures: Path) -> np.ndarray:
    inputs = np.fromfile(pictures, np.float32).reshape(-1, 4, 4, 32)
    outputs = Interpreter(GOLDEN / f"{model}.tflite", runtime="delegate").predict(inputs)
    assert np.ptp(outputs) > 1
    return outputs


@pytest.fixture(scope="module")
def results(jvm, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    cases = [
        (model, kernel, threads) for model in MODELS for kernel in KERNELS for threads in (1, 2)
    ]
    arguments = []
    for case in cases:
        name = "-".join(map(str, case))
        arguments += [GOLDEN / f"{case[0]}.tflite", pictures, folder / name, *case[1:]]
    shown = jvm.run(jvm.compile(JAVA / "RunModels.java"), "RunModels", *arguments)
    outputs = [np.fromfile(folder / "-".join(map(str, case)), np.float32) for case in cases]
    profiles = map(json.loads, shown.splitlines())
    return dict(zip(cases, zip(outputs, profiles, strict=True), strict=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_pythons(results, pictures, model, kernel, threads):
    outputs, profile = results[model, kernel, threads]
    np.testing.assert_array_equal(outputs, expected(model, pictures).ravel())
    (partition,) = profile["partitions"]
    assert (profile["version"], partition["threads"]) == (__version__, threads)
    convolutions = [node for node in partition["nodes"] if "conv" in node["op"].lower()]
    assert len(convolutions) == 2
    for node in convolutions:
        assert (node["runs"], node["ns"] > 0) == (3, True)
        assert kernel == "auto" or node["kernel"].startswith(kernel)


def test_options_sharing_and_closing(jvm):
    program = jvm.compile(JAVA / "CheckDelegate.java")
    shown = jvm.run(program, "CheckDelegate", GOLDEN / "lce_selected.tflite").splitlines()
    assert shown[0] == __version__
    options = "Expected option"
    kernels = f"{options} kernel to be auto, xnor, codebook or reference, got 'fast'."
    assert shown[1:6] == [
        kernels,
        "Expected options as pairs of strings, got a null pointer.",
        f"{options} isa to be an instruction set of this machine, got 'neon'. Use auto.",
        f"{options} num_threads to be 1..256, got '257'.",
        f"{options} num_threads to be 1..256, got '-1'.",
    ]
    used, inputs, freed = map(json.loads, shown[6:9])
    assert (used["isa"], len(used["partitions"])) == ("scalar", 2)
    assert (inputs, freed["partitions"]) == (2, [])
    assert shown[9:] == ["Expected a delegate that is in use, got a closed one."] * 2


def test_shrunk_by_r8_with_the_rules_of_the_packages(jvm, unpacked, tflite, pictures, tmp_path):
    r8 = need(artifacts.fetch, "r8")["r8.jar"]
    (tmp_path / "app.pro").write_text(APP_RULES)
    command = [
        jdk.home() / "bin" / "java",
        "-Xmx512m",
        "-cp",
        r8,
        "com.android.tools.r8.R8",
    ]
    command += ["--release", "--classfile", "--lib", jdk.home(), "--output", "shrunk.jar"]
    packages = [package / "proguard.txt" for package in (unpacked, *tflite.values())]
    for rules in ("app.pro", *packages):
        command += ["--pg-conf", rules]
    classes, *libraries = jvm.compile(JAVA / "RunModels.java")
    run([*command, *classes.glob("*.class"), *libraries], "R8", cwd=tmp_path)
    arguments = (GOLDEN / "subbit_v1.tflite", pictures, tmp_path / "output", "auto", 1)
    jvm.run([tmp_path / "shrunk.jar"], "RunModels", *arguments)
    outputs = np.fromfile(tmp_path / "output", np.float32)
    np.testing.assert_array_equal(outputs, expected("subbit_v1", pictures).ravel())
