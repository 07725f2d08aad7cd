"""examples/deploy.cc on AArch64, with TFLite for Linux and with TFLite for Android."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from android_demo.tools import artifacts, delegate
from delegate.arm import emulate
from tests.android import bionic_shim
from tests.android.conftest import need

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from tests.examples import deploy_program

# bionic has a word at this place that functions read when they begin and end: it must not
# change. In glibc the program's own thread-local variables come first there.
GUARD = """
__attribute__((used)) static thread_local char reserved[64] = {1};
extern "C" char* Reserved() { return reserved; }
"""


@pytest.fixture(scope="module")
def classifier(sysroot, tmp_path_factory) -> deploy_program.Classifier:
    return deploy_program.Classifier.make(tmp_path_factory.mktemp("classifier"))


def test_with_tflite_for_linux(sysroot, wheel, classifier, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract("keras_sparsebnn/runtime/libsparsebnn_delegate.so", tmp_path)
    libraries = [need(deploy_program.tflite_library, "aarch64"), Path(library)]
    program = deploy_program.build(tmp_path, "aarch64", libraries)
    told, kernels = classifier.run(emulate.program_command(sysroot, program))
    assert told == classifier.expected
    assert len(kernels) == 5
    assert all("neon" in kernel for kernel in kernels)


def test_with_tflite_for_android(sysroot, classifier, tmp_path):
    """Through bionic_shim: the libraries that an app has, on Linux. No Android is in it."""
    fetched = need(artifacts.fetch, "tflite")["tensorflow-lite.aar"]
    tflite = artifacts.unpack(fetched) / "jni" / "arm64-v8a" / "libtensorflowlite_jni.so"
    libraries = [tflite, need(delegate.build, "arm64-v8a")]
    shim = bionic_shim.build(tmp_path / "shim", libraries, "aarch64")
    (tmp_path / "guard.cc").write_text(GUARD)
    program = deploy_program.build(tmp_path, "aarch64", libraries, tmp_path / "guard.cc")
    variables = {"LD_LIBRARY_PATH": str(shim)}
    told, kernels = classifier.run(emulate.program_command(sysroot, program, variables))
    assert told == classifier.expected
    assert len(kernels) == 5
    assert all("neon" in kernel for kernel in kernels)
