"""examples/deploy.cc with TFLite's C library on this machine: what deploy.py finds."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from keras_sparsebnn.runtime import delegate_library
from tests.android.conftest import need

pytest.importorskip("larq_compute_engine", reason="needs the [convert] extra")

from tests.examples import deploy_program

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in deploy_program.JAVACPP,
    reason="there is no C library of TFLite for this machine",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    machine = platform.machine()
    libraries = [need(deploy_program.tflite_library, machine), delegate_library()]
    return deploy_program.build(tmp_path_factory.mktemp("program"), machine, libraries)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> deploy_program.Classifier:
    return deploy_program.Classifier.make(tmp_path_factory.mktemp("classifier"))


def test_finds_the_classes_that_python_does(program, classifier):
    told, kernels = classifier.run([program])
    assert told == classifier.expected
    assert len(kernels) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P6\n8 8\n255\n", "Expected all pixels, got fewer bytes"),
        (b"not an image", "Expected a binary PGM or PPM"),
        (b"P5\n1 1\n255\n.", "Expected an image of 1x8x8x3, got 1x1x1x1"),
        (None, "Expected a file that can be read"),
    ],
)
def test_refuses_an_image_in_one_line(program, classifier, tmp_path, content, message):
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    done = subprocess.run(
        [program, classifier.model, tmp_path / "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"deploy: {message}")


def test_refuses_what_is_no_model(program, tmp_path):
    done = subprocess.run(
        [program, tmp_path / "x.tflite", "x.ppm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "deploy: Expected a .tflite file" in done.stderr
