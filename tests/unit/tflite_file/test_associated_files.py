"""What lies behind the flatbuffer is there after every conversion, and can be opened."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.converters import compress, convert_file, expand, inspect, quantize_weights
from keras_sparsebnn.tflite_file import ModelBuilder, ModelFileError, Table, read
from keras_sparsebnn.tflite_file.associated_files import labels, moved, with_labels

GOLDEN = Path(__file__).parents[2] / "golden"
FILES = {"labels.txt": b"cat\ndog\n", "vocabulary.txt": bytes(range(256)) * 9}


def with_files(model: bytes) -> bytes:
    """As TFLite Metadata packs associated files: a zip, appended."""
    file = io.BytesIO(model)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return file.getvalue()


def check(model: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        # Also for readers that take every place as it is written, from the file's start.
        for info in archive.infolist():
            assert model[info.header_offset :][:4] == b"PK\3\4"
        end = model.rfind(b"PK\5\6")
        (directory,) = struct.unpack_from("<L", model, end + 16)
        (entry,) = struct.unpack_from("<L", model, directory + 42)
        assert model[directory:][:4] == b"PK\1\2"
        assert model[entry:][:4] == b"PK\3\4"


@pytest.fixture(scope="module")
def both() -> bytes:
    """A file with a binary and a float layer, and associated files."""
    builder = ModelBuilder()
    bits = builder.activation([1, 4, 4, 2], "int32")
    y = builder.activation([1, 4, 4, 64], "float32")
    words = builder.constant(np.zeros((64, 3, 3, 2), np.int32))
    ones = [builder.constant(np.ones(64, np.float32)) for _ in range(2)]
    options = {
        "channels_in": 64,
        **{f"dilation_{side}_factor": 1 for side in ("height", "width")},
        **{"fused_activation_function": 0, "pad_values": 1, "padding": 0},
        **{f"stride_{side}": 1 for side in ("height", "width")},
    }
    builder.operator("LceBconv2d", [bits, words, *ones, -1], [y], options)
    z = builder.activation([1, 4, 4, 32], "float32")
    weights = builder.constant(np.ones((32, 1, 1, 64), np.float32))
    bias = builder.constant(np.zeros(32, np.float32))
    convolution = Table("Conv2DOptions", stride_w=1, stride_h=1)
    builder.operator("CONV_2D", [y, weights, bias], [z], convolution)
    metadata = builder.root.append("buffers", Table("Buffer", data=b"TFLite Metadata's own"))
    builder.root["metadata"] = [Table("Metadata", name="TFLITE_METADATA", buffer=metadata)]
    entry = Table("TensorMap", name="image", tensor_index=bits)
    builder.root["signature_defs"] = [
        Table("SignatureDef", inputs=[entry], signature_key="serving_default")
    ]
    return with_files(builder.to_bytes([bits], [z]))


@pytest.mark.parametrize("format", ["lce", "subbit"])
@pytest.mark.parametrize("weights", ["float", "int8"])
def test_every_conversion(both, format, weights):
    converted = convert_file(both, format, weights=weights)
    assert (len(converted) == len(both)) == ((format, weights) == ("lce", "float"))
    check(converted)
    before, after = read(both), read(converted)
    (number,) = after.metadata.values()
    assert after.metadata.keys() == {"TFLITE_METADATA"}
    data = after.root.tables("buffers")[number].vector("data").tobytes()
    assert data == b"TFLite Metadata's own"
    assert after.root.tables("signature_defs") == before.root.tables("signature_defs")


def test_there_and_back(both):
    restored = expand(compress(both))
    check(restored)
    assert read(restored).root == read(both).root
    assert read(restored).behind == read(both).behind
    check(compress(quantize_weights(both)))


def test_golden_files():
    for path in GOLDEN.glob("*.tflite"):
        packed = with_files(path.read_bytes())
        check(read(packed).to_bytes())
        behind = read(packed).behind
        assert packed.endswith(behind)
        kinds = inspect(packed).bytes_by_kind
        assert kinds["associated files"] == len(behind)
        assert sum(kinds.values()) == len(packed)
        plain = inspect(path).bytes_by_kind
        assert "associated files" not in plain


def test_other_bytes_behind():
    model = (GOLDEN / "lce_selected.tflite").read_bytes()
    for behind in (b"anything", b"PK\5\6", b"PK\5\6" + bytes(18), b"x\0\0"):
        converted = compress(model + behind)
        assert len(converted) < len(model)
        assert converted.endswith(behind)
        assert read(converted).behind == behind


def test_a_zip_that_counts_from_its_own_start_stays():
    alone = with_files(b"")
    assert moved(alone, 4096, 1024) is alone
    check(alone)


def test_damaged_directories_stay():
    archive = with_files(bytes(100))[100:]
    end = archive.rfind(b"PK\5\6")
    assert moved(archive, 100, 50) != archive
    for place, value in ((end - 60, 0xFF), (end + 12, 0xFF), (end + 20, 1), (end - 4, 0x7F)):
        damaged = bytearray(archive)
        damaged[place] ^= value
        result = moved(bytes(damaged), 100, 50)
        assert len(result) == len(archive)


class TestLabels:
    MODEL = (GOLDEN / "subbit_v1.tflite").read_bytes()

    def test_lie_behind_the_model(self):
        labelled = with_labels(self.MODEL, ["zero", "one"])
        assert labelled.startswith(self.MODEL)
        assert read(labelled).behind
        with zipfile.ZipFile(io.BytesIO(labelled)) as files:
            assert files.read("labels.txt") == b"zero\none\n"
        assert with_labels(self.MODEL, ["zero", "one"]) == labelled
        assert labels(labelled) == ["zero", "one"]
        assert labels(expand(labelled)) == ["zero", "one"]

    def test_models_without(self):
        assert labels(self.MODEL) == []
        file = io.BytesIO(self.MODEL)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("vocabulary.txt", b"x")
        assert labels(file.getvalue()) == []

    def test_damaged(self):
        labelled = bytearray(with_labels(self.MODEL, ["zero", "one"]))
        labelled[labelled.find(b"zero\none")] ^= 1
        with pytest.raises(ModelFileError, match="Expected labels in a zip, got: Bad CRC"):
            labels(bytes(labelled))

    def test_too_large(self):
        with pytest.raises(ModelFileError, match="Expected labels of at most 1048576 bytes"):
            labels(with_labels(self.MODEL, ["x" * (1 << 20)]))
