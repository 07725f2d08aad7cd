"""What the tests of the Android library need: a JDK, Maven's packages, the built delegate.

Where one is missing they are skipped, with the reason. In CI (SPARSEBNN_ANDROID=required) they
fail instead.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from android_demo.tools import MissingError, aar, artifacts, delegate, jdk
from keras_sparsebnn.runtime import Interpreter
from tests.android.jvm import Jvm

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

T = TypeVar("T")


def need(make: Callable[..., T], *arguments: object) -> T:
    """`make(*arguments)`, or why that is not possible here, as a skipped test."""
    try:
        return make(*arguments)
    except MissingError as error:
        if os.environ.get("SPARSEBNN_ANDROID") == "required":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def java_home() -> Path:
    return need(jdk.home)


@pytest.fixture(scope="session")
def tflite(java_home: Path) -> dict[str, Path]:
    """TFLite's packages for Android, unpacked, by name."""
    fetched = need(artifacts.fetch, "tflite")
    return {Path(name).stem: artifacts.unpack(path) for name, path in fetched.items()}


@pytest.fixture(scope="session")
def android_delegates(java_home: Path) -> dict[str, Path]:
    """The libraries by ABI, built in the checkout's build/."""
    return {abi: need(delegate.build, abi) for abi in delegate.ABIS}


@pytest.fixture(scope="session")
def built(
    android_delegates: dict[str, Path],
    tflite: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """The AAR and its sources."""
    folder = tmp_path_factory.mktemp("aar")
    return aar.build(folder / "dist", folder / "work")


@pytest.fixture(scope="session")
def unpacked(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The AAR's members."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(built[0]) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def jvm(
    unpacked: Path, tflite: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Jvm:
    return Jvm(tmp_path_factory.mktemp("jvm"), unpacked, tflite)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three inputs of the golden models."""
    path = tmp_path_factory.mktemp("images") / "images.f32"
    np.random.default_rng(5).normal(size=(3, 4, 4, 32)).astype(np.float32).tofile(path)
    return path


def pythons_outputs(model: str, images: Path) -> np.ndarray:
    """What a golden model makes of these inputs here."""
    inputs = np.fromfile(images, np.float32).reshape(-1, 4, 4, 32)
    outputs = Interpreter(GOLDEN / f"{model}.tflite", runtime="delegate").predict(inputs)
    assert np.ptp(outputs) > 1
    return outputs
