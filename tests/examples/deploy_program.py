"""Builds examples/deploy.cc against a C library of TFLite, for this machine or another."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from android_demo.tools import artifacts, delegate
from keras_sparsebnn._keras import keras
from keras_sparsebnn.converters import convert_keras_model
from keras_sparsebnn.models import small
from keras_sparsebnn.runtime import Interpreter

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "examples" / "deploy.cc"

# Machine -> the last part of JavaCPP's names.
JAVACPP = {"x86_64": "linux-x86_64", "aarch64": "linux-arm64"}

# What the headers of TFLite's package for Android include and it does not have.
LEFT_OUT = {
    "async/c/types.h": "",
    "c/registration_external.h": (
        "typedef struct TfLiteRegistrationExternal TfLiteRegistrationExternal;\n"
    ),
}


def headers(folder: Path) -> list[Path]:
    """Folders to include TFLite's C interface from; what is missing goes into `folder`."""
    for name, text in LEFT_OUT.items():
        path = folder / "tensorflow" / "lite" / "core" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    fetched = artifacts.fetch("tflite")["tensorflow-lite.aar"]
    return [folder, artifacts.unpack(fetched) / "headers"]


def tflite_library(machine: str) -> Path:
    """TFLite's C library for Linux."""
    name = f"tensorflow-lite-{JAVACPP[machine]}.jar"
    folder = artifacts.unpack(artifacts.fetch("tflite-c")[name])
    (path,) = folder.rglob("libjnitensorflowlite.so")
    return path


def build(folder: Path, machine: str, libraries: list[Path], *sources: Path) -> Path:
    """The program, of more sources if need be; it finds these libraries where they lie now."""
    program = folder / "deploy"
    here = shutil.which("c++") if machine == platform.machine() else None
    # For a first program zig compiles its whole C++ library, which takes a minute.
    zig = [delegate.tools()[2], "c++", "-target", f"{machine}-linux-gnu.2.17"]
    command = [here] if here else zig
    command += ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror"]
    command += map(str, (SOURCE, *sources))
    command += ["-o", str(program), f"-I{delegate.HEADER.parent}"]
    command += [f"-isystem{path}" for path in headers(folder / "headers")]
    # TFLite's own needs are met when the program starts.
    command.append("-Wl,--allow-shlib-undefined")
    for path in libraries:
        command += [
            f"-L{path.parent}",
            f"-l{path.stem.removeprefix('lib')}",
            f"-Wl,-rpath,{path.parent}",
        ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


class Classifier(NamedTuple):
    """A model with random weights, images, and what Python makes of them."""

    model: Path
    images: list[Path]
    classes: list[int]

    @classmethod
    def make(cls, folder: Path) -> Classifier:
        rng = np.random.default_rng(11)
        pixels = rng.integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
        images = [folder / f"{index}.ppm" for index in range(len(pixels))]
        for path, image in zip(images, pixels, strict=True):
            path.write_bytes(b"P6\n8 8\n255\n" + image.tobytes())
        inputs = (pixels / 127.5 - 1).astype(np.float32)
        keras.utils.set_random_seed(11)
        network = small((8, 8, 3), 10, codewords=16)
        # Images of noise would all be of one class.
        dense = next(part for part in network.layers if isinstance(part, keras.layers.Dense))
        dense.bias.assign(-network.predict(inputs, verbose=0).mean(axis=0))
        model = folder / "model.tflite"
        model.write_bytes(convert_keras_model(network, "subbit"))
        scores = Interpreter(model).predict(inputs)
        classes = [int(best) for best in scores.argmax(axis=-1)]
        assert len(set(classes)) > 2
        return cls(model, images, classes)

    @property
    def expected(self) -> list[tuple[str, str]]:
        """Each image and its class, as the program tells them."""
        pairs = zip(self.images, self.classes, strict=True)
        return [(str(path), str(best)) for path, best in pairs]

    def run(self, command: Sequence[object]) -> tuple[list[tuple[str, str]], list[str]]:
        """What the program tells: images and classes; and its convolutions' kernels."""
        command = [*map(str, command), str(self.model), *map(str, self.images)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        told = re.findall(r"^(.+): (\d+) \(\d+\.\d\d ms\)$", done.stdout, re.M)
        profile = next(line for line in done.stderr.split("\n") if line.startswith("{"))
        nodes = [node for part in json.loads(profile)["partitions"] for node in part["nodes"]]
        return told, [node["kernel"] for node in nodes if node["op"] == "SparsebnnBconv2d"]
