"""Bytes to tables and back: nothing is lost, nothing is believed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from keras_sparsebnn.converters import ModelFileError
from keras_sparsebnn.tflite_file import ModelBuilder, Table, read, write_tables
from keras_sparsebnn.tflite_file import model as model_module
from keras_sparsebnn.tflite_file.model import read_bytes
from keras_sparsebnn.tflite_file.schema import SCHEMA

GOLDEN = Path(__file__).parents[2] / "golden"
SELECTED = (GOLDEN / "lce_selected.tflite").read_bytes()


def relu():
    """Two tensors and an operator."""
    builder = ModelBuilder()
    x, y = (builder.activation([1, 4], "float32") for _ in range(2))
    builder.operator("RELU", [x], [y])
    return builder


class TestTables:
    def test_reads_what_is_there(self):
        model = read(SELECTED)
        (graph,) = model.subgraphs
        assert "StatefulPartitionedCall:0" in [tensor.name for tensor in graph.tensors]
        codes = [code.text("custom_code") for code in model.root.tables("operator_codes")]
        assert codes == ["LceQuantize", "LceBconv2d"]
        names = [operator.name for operator in graph.operators]
        assert names == ["LceQuantize", "LceBconv2d", "LceBconv2d"]
        assert model.root.integer("version") == 3

    def test_every_kind_of_value(self):
        details = Table("CustomQuantization", custom=b"abc")
        quantization = Table("QuantizationParameters", scale=[np.nan], details=details)
        quantization["zero_point"] = [0, 1, -(2**63)]
        tensor = Table("Tensor", has_rank=True, shape=[], quantization=quantization)
        options = Table("LocalResponseNormalizationOptions", radius=-1, bias=float("nan"))
        operator = Table("Operator", inputs=[-1, 0], builtin_options=options)
        random = Table("RandomOptions", seed=-(2**63), seed2=2**63 - 1)
        root = Table("Model", version=2**32 - 1, description="", metadata_buffer=[])
        root["operator_codes"] = [Table("OperatorCode", builtin_code=32)]
        root["buffers"] = [Table("Buffer")]
        graph = Table("SubGraph", name=b"\xff not UTF-8")
        graph["tensors"], graph["operators"] = [tensor, tensor], [operator, operator]
        graph.append("operators", Table("Operator", builtin_options=random))
        root["subgraphs"] = [graph]
        root["signature_defs"] = []
        again = read(write_tables(root)).root
        assert again == root
        assert again.tables("subgraphs")[0].tables("operators")[0].table(
            "builtin_options"
        ).kind == ("LocalResponseNormalizationOptions")
        assert again.fields["signature_defs"] == []
        assert "metadata" not in again

    def test_differences_are_seen(self):
        def table(**changed):
            values = {"shape": [1], "type": 2, "name": "x", "is_variable": 0, **changed}
            return Table("Tensor", **values)

        assert table() == table()
        for changed in ({"shape": [2]}, {"type": 3}, {"name": "y"}, {"buffer": 0}):
            assert table() != table(**changed)
        assert Table("AddNOptions") != Table("AbsOptions")
        assert table() != "a table"

    def test_defaults_of_the_schema(self):
        options = Table("Conv2DOptions")
        assert options.integer("dilation_w_factor") == 1
        assert options.integer("stride_w") == 0
        assert Table("Operator").integer("debug_metadata_index") == -1
        assert Table("Operator").integers("inputs") == ()

    def test_names_that_do_not_exist(self):
        with pytest.raises(KeyError, match="strides"):
            Table("Conv2DOptions", strides=1)
        with pytest.raises(AssertionError, match="builtin_options"):
            Table("Operator", builtin_options=Table("Buffer"))

    def test_nothing_large_is_copied(self):
        builder = relu()
        builder.constant(np.zeros(1 << 20, np.float32))
        flat = builder.to_bytes([0], [1])
        model = read(flat)
        tensor = model.subgraphs[0].tensors[2]
        place, size = model.place(tensor.buffer)
        assert (size, place % 16) == (4 << 20, 0)
        assert np.shares_memory(np.frombuffer(flat, np.uint8), np.asarray(model.data(tensor)))
        values = model.constant(tensor, "FLOAT32")
        assert np.shares_memory(np.frombuffer(flat, np.uint8), values)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1

    def test_a_large_file_is_read_in_no_time(self):
        builder = relu()
        builder.constant(np.zeros(25_000_000, np.float32))
        flat = builder.to_bytes([0], [1])
        start = time.process_time()
        read(flat)
        # Checking it takes a millisecond; copying 100 MB ten times more.
        assert time.process_time() - start < 0.01

    def test_equal_options_and_vectors_are_written_once(self):
        root = read(SELECTED).root
        before = len(write_tables(root))
        (graph,) = root.tables("subgraphs")
        graph.append("operators", graph.tables("operators")[-1])
        # Of a copy only the table itself and the offset to it are new.
        assert len(write_tables(root)) - before <= 48


class TestNewerSchemas:
    def check(self, flat, message):
        model = read(flat)  # an interpreter may still run it
        assert model.subgraphs[0].tensors
        with pytest.raises(ModelFileError, match=message):
            model.to_bytes()

    @pytest.mark.parametrize("number", [0, 200])
    def test_options(self, number):
        root = read((GOLDEN / "float_only.tflite").read_bytes()).root
        (operator,) = root.tables("subgraphs")[0].tables("operators")
        operator["builtin_options_type"] = number
        self.check(write_tables(root), "known schema, got field 4 in a table of kind Operator")

    def test_fields(self, monkeypatch):
        monkeypatch.setitem(SCHEMA, "Tensor", SCHEMA["Tensor"][:3])
        self.check(SELECTED, "known schema, got field 3 in a table of kind Tensor")

    def test_operators(self):
        builder = relu()
        code = builder.root.tables("operator_codes")[0]
        code["builtin_code"] = 10_000
        flat = builder.to_bytes([0], [1])
        assert read(flat).subgraphs[0].operators[0].name == "BUILTIN_10000"
        assert read(read(flat).to_bytes()).root == read(flat).root
        code["builtin_code"], code["custom_code"] = 0, "ADD is no custom operator"
        code["deprecated_builtin_code"] = 0
        flat = builder.to_bytes([0], [1])
        assert read(flat).subgraphs[0].operators[0].name == "ADD"


class TestFarVectors:
    """Constants and options behind the flatbuffer, addressed from the start of the file."""

    @pytest.fixture
    def far(self):
        model = read(SELECTED)
        for buffer in model.root.tables("buffers"):
            buffer.far = len(buffer.vector("data")) > 1
        for operator in model.subgraphs[0].operators:
            operator.table.far = len(operator.table.vector("custom_options")) > 1
        return model

    def test_are_found_at_their_places(self, far):
        near, flat = read(SELECTED), far.to_bytes()
        again = read(flat)
        assert again.root == far.root
        assert again.root != near.root
        sizes = 0
        for number, buffer in enumerate(again.root.tables("buffers")):
            assert buffer.vector("data").tobytes() == (
                near.root.tables("buffers")[number].vector("data").tobytes()
            )
            place, size = again.place(number)
            assert place % 16 == 0
            sizes += size
        assert sizes == sum(near.place(i)[1] for i in range(len(near.root.tables("buffers"))))
        for ours, theirs in zip(
            again.subgraphs[0].operators, near.subgraphs[0].operators, strict=True
        ):
            assert ours.options == theirs.options

    def test_as_tensorflow_reads_them(self, far):
        schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
        flat = far.to_bytes()
        model = schema.Model.GetRootAs(flat)
        for number, buffer in enumerate(far.root.tables("buffers")):
            theirs, data = model.Buffers(number), buffer.vector("data").tobytes()
            if buffer.far:
                assert theirs.DataIsNone()
                assert flat[theirs.Offset() : theirs.Offset() + theirs.Size()] == data

    def test_after_a_conversion(self, far):
        from keras_sparsebnn.converters import compress, expand

        flat = far.to_bytes()
        packed = compress(flat)
        assert len(packed) < len(flat)
        restored = read(expand(packed))
        assert restored.root == far.root

    def test_run_as_before(self, far, rng):
        from keras_sparsebnn.runtime import Interpreter

        x = rng.normal(size=(3, 4, 4, 32)).astype(np.float32)
        for buffer in far.subgraphs[0].operators:
            buffer.table.far = False  # LCE's kernels read their options from the operator
        before, after = (
            Interpreter(flat, runtime="delegate").predict(x)
            for flat in (SELECTED, far.to_bytes())
        )
        np.testing.assert_array_equal(before, after)

    @pytest.mark.parametrize(("offset", "size"), [(2**63, 16), (5, 2**63), (4000, 600)])
    def test_outside_of_the_file(self, offset, size):
        builder = relu()
        builder.root.append("buffers", Table("Buffer", offset=offset, size=size))
        with pytest.raises(ModelFileError, match="a readable"):
            read(builder.to_bytes([0], [1]))

    def test_placeholders_stay(self):
        builder = relu()
        builder.root.append("buffers", Table("Buffer", offset=1, size=1))
        flat = builder.to_bytes([0], [1])
        assert read(flat).root == builder.root
        assert read(flat).to_bytes() == flat


class TestIndices:
    """All indices are checked here, so that nothing after this needs to."""

    @pytest.mark.parametrize("index", [-2, -(2**31), 2, 2**31 - 1])
    @pytest.mark.parametrize("side", ["inputs", "outputs", "intermediates"])
    def test_of_operators(self, index, side):
        builder = relu()
        builder.graph.tables("operators")[0][side] = [index]
        with pytest.raises(ModelFileError, match=f"got tensor {index} of 2"):
            read(builder.to_bytes([0], [1]))

    @pytest.mark.parametrize("index", [-1, -2, 2])
    @pytest.mark.parametrize("side", [0, 1])
    def test_of_graphs(self, index, side):
        ends = [[0], [1]]
        ends[side] = [index]
        with pytest.raises(ModelFileError, match=f"got tensor {index} of 2"):
            read(relu().to_bytes(*ends))

    @pytest.mark.parametrize(
        ("name", "inputs", "outputs"),
        [
            ("FULLY_CONNECTED", [0, 0, -1], [1]),
            ("TRANSPOSE_CONV", [0, 0, 0, -1], [1]),
            ("LSTM", [0, -1, 0], [1]),
            ("LceBconv2d", [0, -1], [1, -1]),
        ],
    )
    def test_tensors_that_may_be_absent(self, name, inputs, outputs):
        builder = relu()
        builder.operator(name, inputs, outputs)
        operator = read(builder.to_bytes([0], [1])).subgraphs[0].operators[-1]
        assert (operator.inputs, operator.outputs) == (tuple(inputs), tuple(outputs))

    @pytest.mark.parametrize(
        ("name", "inputs", "outputs"),
        [
            ("RELU", [-1], [1]),
            ("RELU", [0], [-1]),
            ("FULLY_CONNECTED", [0, -1, 0], [1]),  # stock LiteRT crashes on it
            ("FULLY_CONNECTED", [-1, 0, 0], [1]),
            ("CONV_2D", [0, 0, -1], [-1]),
        ],
    )
    def test_tensors_that_may_not(self, name, inputs, outputs):
        builder = relu()
        builder.operator(name, inputs, outputs)
        with pytest.raises(ModelFileError, match="got tensor -1 of 2"):
            read(builder.to_bytes([0], [1]))

    @pytest.mark.parametrize(
        ("table", "name", "value", "message"),
        [
            ("tensors", "buffer", 1, "got buffer 1 of 1"),
            ("tensors", "buffer", 2**32 - 1, "got buffer 4294967295 of 1"),
            ("operators", "opcode_index", 1, "got operator code 1 of 1"),
            ("operators", "opcode_index", 2**32 - 1, "operator code 4294967295 of 1"),
            ("tensors", "shape", [3, -1], "a shape with negative extents"),
            ("tensors", "shape", [1] * 33, "a tensor of 33 dimensions"),
            ("tensors", "shape", [1] * 80_000, "a tensor of 80000 dimensions"),
            ("tensors", "shape", [0, 2**31 - 1, 2**31 - 1], "a tensor of more than 2147483647"),
            ("tensors", "shape", [2**16, 2**15, 1], "a tensor of more than 2147483647"),
        ],
    )
    def test_of_other_things(self, table, name, value, message):
        builder = relu()
        builder.graph.tables(table)[0][name] = value
        with pytest.raises(ModelFileError, match=message):
            read(builder.to_bytes([0], [1]))

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("metadata", [Table("Metadata", buffer=1)], "got buffer 1 of 1"),
            ("metadata_buffer", [1], "got buffer 1 of 1"),
            ("metadata_buffer", [-1], "got buffer -1 of 1"),
            (
                "signature_defs",
                [Table("SignatureDef", subgraph_index=1)],
                "got subgraph 1 of 1",
            ),
            (
                "signature_defs",
                [Table("SignatureDef", inputs=[Table("TensorMap", tensor_index=2)])],
                "got tensor 2 of 2",
            ),
            ("subgraphs", [], "got no subgraph"),
        ],
    )
    def test_of_models(self, name, value, message):
        builder = relu()
        builder.graph["inputs"], builder.graph["outputs"] = [0], [1]
        builder.root[name] = value
        with pytest.raises(ModelFileError, match=message):
            read(write_tables(builder.root))


class TestFiles:
    def test_a_pipe(self, tmp_path):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(SELECTED,))
        writer.start()
        assert read_bytes(pipe) == SELECTED
        writer.join()

    def test_python_is_not_asked_for_the_longest_file(self, monkeypatch):
        """It would make room for it; on a 32-bit board it cannot."""
        asked = []
        monkeypatch.setattr(model_module, "Path", lambda path: Recorded(path, asked))
        assert read_bytes(GOLDEN / "lce_selected.tflite") == SELECTED
        assert max(asked) <= max(len(SELECTED), 1 << 20)

    def test_too_long(self, tmp_path):
        with (tmp_path / "long.tflite").open("wb") as file:
            file.truncate(2**31)
        with pytest.raises(ModelFileError, match="of 8 to 2147483647 bytes, got 2147483648"):
            read_bytes(tmp_path / "long.tflite")


class Recorded:
    """A path whose file remembers how much was asked of it."""

    def __init__(self, path, asked):
        self.file, self.asked = Path(path).open("rb"), asked  # noqa: SIM115

    def open(self, mode):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def fileno(self):
        return self.file.fileno()

    def read(self, size):
        self.asked.append(size)
        return self.file.read(size)


class TestBounds:
    def test_tables_named_again_and_again(self, monkeypatch):
        monkeypatch.setattr("keras_sparsebnn.tflite_file.reader.MAX_TABLES", 20)
        with pytest.raises(ModelFileError, match="more than 20 tables"):
            read(SELECTED)

    def test_a_text_without_an_end(self):
        flat = relu().to_bytes([0], [1]).replace(b"tensor0\0", b"tensor0!")
        with pytest.raises(ModelFileError, match=r"a text at byte .* without its end"):
            read(flat)

    @pytest.mark.parametrize("data", [bytes(4) + b"TFL3", b"\xff\xff\xff\xffTFL3"])
    def test_garbage(self, data):
        with pytest.raises(ModelFileError, match="Expected a readable"):
            read(data)

    def test_a_file_that_would_be_too_long(self, monkeypatch):
        monkeypatch.setattr("keras_sparsebnn.tflite_file.writer.MAX_FILE_BYTES", 2000)
        with pytest.raises(ModelFileError, match="at most 2000 bytes, got 4272"):
            read(SELECTED).to_bytes()
