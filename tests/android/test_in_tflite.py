"""An app's Java code, with the AAR, in TFLite's own library for Android.

The machine code is that for x86-64, which runs on Linux in a Java virtual machine, through
bionic_shim. Nothing here runs on Android.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from android_demo.tools import artifacts, jdk, run
from keras_sparsebnn import __version__
from tests.android.conftest import GOLDEN, need, pythons_outputs
from tests.android.jvm import PROGRAMS, runs_here

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

pytestmark = runs_here


@pytest.fixture(scope="module")
def results(jvm, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    cases = [
        (model, kernel, threads) for model in MODELS for kernel in KERNELS for threads in (1, 2)
    ]
    arguments = []
    for case in cases:
        name = "-".join(map(str, case))
        arguments += [GOLDEN / f"{case[0]}.tflite", images, folder / name, *case[1:]]
    shown = jvm.run(jvm.compile(PROGRAMS / "RunModels.java"), "RunModels", *arguments)
    outputs = [np.fromfile(folder / "-".join(map(str, case)), np.float32) for case in cases]
    profiles = map(json.loads, shown.splitlines())
    return dict(zip(cases, zip(outputs, profiles, strict=True), strict=True))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_pythons(results, images, model, kernel, threads):
    outputs, profile = results[model, kernel, threads]
    np.testing.assert_array_equal(outputs, pythons_outputs(model, images).ravel())
    (partition,) = profile["partitions"]
    assert (profile["version"], partition["threads"]) == (__version__, threads)
    convolutions = [node for node in partition["nodes"] if "conv" in node["op"].lower()]
    assert len(convolutions) == 2
    for node in convolutions:
        assert (node["runs"], node["ns"] > 0) == (3, True)
        assert kernel == "auto" or node["kernel"].startswith(kernel)


def test_options_sharing_and_closing(jvm):
    program = jvm.compile(PROGRAMS / "CheckDelegate.java")
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


def test_shrunk_by_r8_with_the_rules_of_the_packages(jvm, unpacked, tflite, images, tmp_path):
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
    classes, *libraries = jvm.compile(PROGRAMS / "RunModels.java")
    run([*command, *classes.glob("*.class"), *libraries], "R8", cwd=tmp_path)
    arguments = (GOLDEN / "subbit_v1.tflite", images, tmp_path / "output", "auto", 1)
    jvm.run([tmp_path / "shrunk.jar"], "RunModels", *arguments)
    outputs = np.fromfile(tmp_path / "output", np.float32)
    np.testing.assert_array_equal(outputs, pythons_outputs("subbit_v1", images).ravel())
