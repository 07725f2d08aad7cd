"""Stems on AArch64, float and int8, and shortcuts = XNNPACK's ops there, bit for bit."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from delegate.arm import emulate
from delegate.arm.architecture import AARCH64
from keras_sparsebnn.converters.int8_layers import Range
from keras_sparsebnn.converters.int8_weights import quantize_weights
from tests.arm.conftest import finish
from tests.shortcut_model import Shortcut
from tests.stem_model import (
    RELU6,
    SAME,
    STEMS,
    VALID,
    Stem,
    assert_same_bits,
    in_int8,
    values,
)

SCRIPT = Path(__file__).with_name("run_stems.py")


RANGES = Range.spanning(-2.1, 2.4), Range.spanning(-9, 11)


@pytest.fixture(scope="module")
def library(wheel, tmp_path_factory):
    with zipfile.ZipFile(wheel) as archive:
        return archive.extract(
            "keras_sparsebnn/runtime/libsparsebnn_delegate.so",
            path=tmp_path_factory.mktemp("library"),
        )


@pytest.fixture(scope="module")
def guest(sysroot, library):
    """Runs a folder's models; returns what ran each stem."""

    def run(folder, core=AARCH64.core):
        own = replace(AARCH64, core=core)
        command = emulate.python_command(sysroot, [sysroot / "site"], architecture=own)
        return finish([*command, str(SCRIPT), library, str(folder)]).split("\n")[:-1]

    return run


def check(folder):
    for model in folder.glob("*.tflite"):
        theirs, ours = (np.load(f"{model}.{stem}.npy") for stem in (0, 1))
        assert not np.isnan(theirs).all()
        assert_same_bits(ours, theirs)


def test_equals_xnnpack(guest, tmp_path):
    for wild, (name, (shape, filters, stride)) in enumerate(STEMS.items()):
        options = {"activation": RELU6} if wild % 2 else {"pool": (3, 2)}
        stem = Stem(shape, filters, stride=(stride, stride), **options)
        x = values(shape)
        if wild % 2:
            x[..., ::5, ::7, :], x[..., 1::5, ::7, :] = np.inf, np.nan
            stem.bias[::2] = -0.0
        flat = quantize_weights(stem.bytes()) if name == "ResNet-18" else stem.bytes()
        (tmp_path / f"{name}.tflite").write_bytes(flat)
        np.save(tmp_path / f"{name}.npy", x)
    assert guest(tmp_path) == ["stem neon"] * len(STEMS)
    check(tmp_path)


@pytest.mark.parametrize("core", ["cortex-a53", "cortex-a72", "cortex-a76"])
def test_depthwise_equals_xnnpack(guest, tmp_path, core):
    """Of many outputs for each channel; filters in 8 bits, too."""
    for shape, filters in (((1, 31, 28, 8), (64, 3, 3)), ((2, 9, 8, 5), (65, 2, 5))):
        options = {"stride": (2, 2), "activation": RELU6, "depthwise": True}
        flat = Stem(shape, filters, **options).bytes()
        for form, file in (("float", flat), ("int8", quantize_weights(flat))):
            (tmp_path / f"{filters[0]}-{form}.tflite").write_bytes(file)
            np.save(tmp_path / f"{filters[0]}-{form}.npy", values(shape))
    assert guest(tmp_path, core) == ["stem depthwise neon"] * 4
    check(tmp_path)


def test_shortcuts_equal_xnnpacks(guest, tmp_path):
    """Of odd maps, whose last windows leave them, too; without a pool; filters in 8 bits."""
    for shape, channels, padding in (
        ((1, 28, 28, 64), 128, VALID),
        ((2, 15, 9, 33), 24, SAME),
        ((1, 7, 6, 256), 8, SAME),
        ((1, 9, 8, 5), 40, VALID),
    ):
        for window in ((2, 2), None):
            shortcut = Shortcut(
                shape,
                channels,
                padding=padding,
                window=window,
                activation=RELU6 * (channels > 40),
            )
            x = values(shape)
            x[..., ::3] = np.maximum(x[..., ::3], -0.0)
            name = f"{channels}-{'pooled' if window else 'alone'}"
            for form, flat in (
                ("float", shortcut.bytes()),
                ("int8", quantize_weights(shortcut.bytes())),
            ):
                (tmp_path / f"{name}-{form}.tflite").write_bytes(flat)
                np.save(tmp_path / f"{name}-{form}.npy", x)
    ran = sorted(guest(tmp_path))
    assert ran == ["1x1 neon"] * 8 + ["in node 0"] * 8
    check(tmp_path)


@pytest.mark.parametrize(
    ("core", "kernel"), [("cortex-a72", "int8 neon"), ("cortex-a76", "int8 dotprod")]
)
def test_int8_equals_xnnpack(guest, tmp_path, core, kernel):
    for name in ("ResNet-18", "QuickNet"):
        shape, filters, stride = STEMS[name]
        options = {"pool": (3, 2)} if name == "ResNet-18" else {"activation": RELU6}
        stem = Stem(shape, filters, stride=(stride, stride), **options)
        flat = in_int8(stem.bytes(), RANGES)
        (tmp_path / f"{name}.tflite").write_bytes(flat)
        np.save(tmp_path / f"{name}.npy", values(shape))
    assert guest(tmp_path, core) == [f"stem {kernel}"] * 2
    check(tmp_path)


@pytest.mark.parametrize(
    ("core", "kernel"), [("cortex-a72", "int8 neon"), ("cortex-a76", "int8 dotprod")]
)
def test_int8_shortcuts_equal_xnnpacks(guest, tmp_path, core, kernel):
    """Rows of 14 and 7 pixels, of which the op joins several; channels of no multiple."""
    ranges = Range.spanning(-2, 2), Range.spanning(-40, 50)
    shapes = {(1, 28, 28, 128): 256, (1, 14, 14, 256): 512, (2, 9, 7, 37): 27}
    for shape, channels in shapes.items():
        flat = in_int8(Shortcut(shape, channels).bytes(), ranges)
        (tmp_path / f"{channels}.tflite").write_bytes(flat)
        np.save(tmp_path / f"{channels}.npy", values(shape))
    assert guest(tmp_path, core) == [f"1x1 {kernel}"] * 3
    check(tmp_path)
