"""`inspect`: what is in a .tflite, without TensorFlow, whatever the bytes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.converters import ModelFileError, inspect
from keras_sparsebnn.converters.filters.packed import codeword_ids, packed_filters, unpack
from keras_sparsebnn.tflite_file import read

GOLDEN = Path(__file__).parents[2] / "golden"
SELECTED = (GOLDEN / "lce_selected.tflite").read_bytes()


class TestReport:
    def test_binary_layers(self):
        first, second = inspect(GOLDEN / "lce_selected.tflite").binary_layers
        assert (first.output_type, second.output_type) == ("bits", "FLOAT32")
        for layer in (first, second):
            assert layer.input_shape == (1, 4, 4, 32)
            assert layer.filter_shape == (32, 3, 3, 32)
            assert layer.output_shape == (1, 4, 4, 32)
            assert layer.groups == 1
            assert layer.options["channels_in"] == 32
            assert layer.options["pad_values"] == 1
            # Packed: 32 * 9 words. As indices: 1024 of 3 bits, and 8 codewords of 2 bytes.
            assert layer.filter_bytes == 32 * 9 * 4
            assert layer.distinct_codewords == 8
            assert layer.sub_bit_bytes == 1024 * 3 // 8 + 8 * 2

    def test_operators_and_savings(self):
        report = inspect(SELECTED)
        assert report.operators == {"LceBconv2d": 2, "LceQuantize": 1}
        assert report.sub_bit_savings == 2 * (1152 - 400)
        assert [x.shape for x in report.inputs] == [(1, 4, 4, 32)]
        assert report.outputs[0].dtype == "FLOAT32"

    def test_bytes_by_kind(self):
        kinds = inspect(SELECTED).bytes_by_kind
        assert kinds["binary filters"] == 2 * 1152
        assert kinds["binary thresholds"] == 32 * 4
        assert kinds["float32 constants"] == 2 * 32 * 4
        assert sum(kinds.values()) == len(SELECTED)

    def test_a_file_without_lce(self):
        path = GOLDEN / "float_only.tflite"
        report = inspect(str(path))
        assert report.operators == {"CONV_2D": 1}
        assert report.binary_layers == ()
        assert report.sub_bit_savings == 0
        assert report.bytes_by_kind["float32 constants"] == (3 * 3 * 2 + 2) * 4
        assert sum(report.bytes_by_kind.values()) == path.stat().st_size

    def test_text_and_json(self):
        report = inspect(SELECTED)
        text = str(report)
        assert "LceBconv2d" in text
        assert "would save 1,504 bytes (33.2 % of the file)" in text
        assert json.loads(json.dumps(report.to_dict()))["file_bytes"] == len(SELECTED)

    def test_options_of_any_type_can_be_shown(self):
        report = inspect(SELECTED)
        layer = dataclasses.replace(report.binary_layers[0], options={"padding": "same?"})
        assert "golden/binary1" in str(dataclasses.replace(report, binary_layers=(layer,)))

    def test_needs_no_tensorflow(self):
        code = (
            "import sys; from keras_sparsebnn.converters import inspect; "
            f"inspect({str(GOLDEN / 'float_only.tflite')!r}); "
            "sys.exit(any(m in sys.modules for m in ('tensorflow', 'larq', 'tf_keras')))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestPackedFilters:
    def test_unpack_is_lces_convention(self, rng):
        bits = rng.integers(0, 2, (3, 70)).astype(bool)
        words = np.zeros((3, 3), np.uint32)
        for row, channel in np.argwhere(bits):
            words[row, channel // 32] |= np.uint32(1 << (channel % 32))
        np.testing.assert_array_equal(unpack(words.view(np.int32), 70), bits)

    @pytest.mark.parametrize("kernel_size", [1, 2, 3])
    def test_codeword_ids_equal_the_codebook(self, rng, kernel_size):
        from keras_sparsebnn import codebook

        ids = rng.integers(0, codebook.codebook_size(kernel_size), (5, 7))
        patterns = codebook.decode(ids, kernel_size).reshape(5, 7, kernel_size, kernel_size)
        negative = patterns.transpose(0, 2, 3, 1) < 0
        np.testing.assert_array_equal(codeword_ids(negative), ids)

    def test_no_codebook_for_large_or_oblong_kernels(self):
        assert codeword_ids(np.zeros((2, 5, 5, 2), bool)) is None
        assert codeword_ids(np.zeros((2, 1, 3, 2), bool)) is None

    def test_a_filter_without_a_file_to_back_it(self):
        model = read(SELECTED)
        tensor = next(packed_filters(model)).filter
        with pytest.raises(ModelFileError, match="Expected INT32 data of shape"):
            model.constant(dataclasses.replace(tensor, shape=(2**40, 2**40)), "INT32")


class TestGarbage:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "8 to 2147483647 bytes, got 0"),
            (b"TFL3", "8 to 2147483647 bytes, got 4"),
            (b"PK\x03\x04" * 10, "identifier TFL3 at byte 4"),
            (b"\x00\x00\x00\x00TFL3", "damaged"),
            (b"\xff\xff\xff\xffTFL3" + bytes(64), "damaged"),
            (SELECTED[: len(SELECTED) // 2], "damaged|truncated"),
        ],
    )
    def test_bytes(self, data, message):
        with pytest.raises(ModelFileError, match=message) as caught:
            inspect(data)
        assert "\n" not in str(caught.value)

    def test_paths(self, tmp_path):
        with pytest.raises(ModelFileError, match="No such file or directory"):
            inspect(tmp_path / "none.tflite")
        with pytest.raises(ModelFileError, match="Is a directory"):
            inspect(tmp_path)
        with pytest.raises(ModelFileError, match="can be read"):
            inspect("a\0b")
        empty = tmp_path / "empty.tflite"
        empty.write_bytes(b"")
        with pytest.raises(ModelFileError, match=r"got 0 \(.*empty\.tflite\)"):
            inspect(empty)

    def test_a_file_over_two_gib_is_refused(self, tmp_path, monkeypatch):
        from keras_sparsebnn.tflite_file import reader

        path = tmp_path / "large.tflite"
        path.write_bytes(SELECTED)
        monkeypatch.setattr(reader, "MAX_FILE_BYTES", len(SELECTED) - 1)
        with pytest.raises(ModelFileError, match=f"to {len(SELECTED) - 1} bytes, got"):
            inspect(path)

    def test_vectors_longer_than_the_file(self):
        flat = bytearray(SELECTED)
        file = read(SELECTED)
        place = file.place(next(packed_filters(file)).filter.buffer)[0] - 4
        flat[place : place + 4] = (2**31).to_bytes(4, "little")
        with pytest.raises(ModelFileError, match="vectors of 2147483648 bytes or more"):
            inspect(bytes(flat))

    def test_shared_vectors_cannot_make_the_work_explode(self):
        from keras_sparsebnn.tflite_file.reader import _Reader

        reader = _Reader(bytes(100))
        for _ in range(8):
            reader.vector(0, 100, "<u1")
        with pytest.raises(ModelFileError, match="too many for 100"):
            reader.vector(0, 100, "<u1")

    def test_a_tensor_index_outside(self):
        model = read(SELECTED)
        model.subgraphs[0].table["outputs"] = [1000]
        with pytest.raises(ModelFileError, match="got tensor 1000 of 9"):
            inspect(model.to_bytes())
