"""The stem on AArch64, and a pool behind it = XNNPACK's float ops there, bit for bit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tests.stem_model import RELU6, STEMS, Stem, values

SCRIPT = Path(__file__).with_name("run_stems.py")


def test_equals_xnnpack(sysroot, wheel, run_guest, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(
            "keras_sparsebnn/runtime/libsparsebnn_delegate.so", path=tmp_path / "library"
        )
    for wild, (name, (shape, filters, stride)) in enumerate(STEMS.items()):
        options = {"activation": RELU6} if wild % 2 else {"pool": (3, 2)}
        stem = Stem(shape, filters, stride=(stride, stride), **options)
        x = values(shape)
        if wild % 2:
            x[..., ::5, ::7, :], x[..., 1::5, ::7, :] = np.inf, np.nan
            stem.bias[::2] = -0.0
        (tmp_path / f"{name}.tflite").write_bytes(stem.bytes())
        np.save(tmp_path / f"{name}.npy", x)
    run_guest(sysroot / "site", SCRIPT, library, tmp_path)
    for model in tmp_path.glob("*.tflite"):
        theirs, ours = (np.load(f"{model}.{stem}.npy") for stem in (0, 1))
        nan = np.isnan(theirs)
        assert not nan.all()
        np.testing.assert_array_equal(np.isnan(ours), nan)
        np.testing.assert_array_equal(ours[~nan].view(np.int32), theirs[~nan].view(np.int32))
